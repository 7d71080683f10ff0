"""What law checks of several layers, lines and estimators say."""

from collections.abc import Sequence

import numpy as np

from backend.figures.data import law_checks as checks
from backend.figures.summary.theory import Cell, theory
from backend.figures.words.names import one_line, short_names
from backend.figures.words.sentences import counted, fitting
from estimators.statistics.law_check import MIN_PROBES, LawCheck


def note(all_checks: Sequence[LawCheck]) -> str:
    """The checks of a chart's lines below it: `✓ theory agrees, 3 of 3, worst 3.7 standard errors`.

    "" where no line has a law.
    """
    verdict = theory(all_checks)
    if verdict.verdict == "no theory":
        return ""
    if verdict.verdict == "too early":
        return f"theory is checked from {MIN_PROBES} probes on"
    return verdict.words


def takeaway(cells: Sequence[Cell]) -> str:
    """What the checks of these cells say; "" without any."""
    if not cells:
        return ""
    verdict = theory(cell.check for cell in cells)
    if verdict.verdict == "no theory":
        return fitting("No theory gives this measure of these estimators")
    if verdict.verdict == "too early":
        return fitting("Too early to check the theory: more probes needed")
    names = short_names(cell.label for cell in cells)
    wrong = [cell for cell in cells if checks.kind(cell.check) == "disagrees"]
    far = f", worst {verdict.worst:.1f} standard errors" if np.isfinite(verdict.worst) else ""
    if not wrong:
        whose = f" of {one_line(next(iter(names.values())))}" if len(names) == 1 else ""
        total = f"{verdict.judged} of {counted(verdict.judged, 'check')}"
        return fitting(f"theory agrees{whose} in {total}{far}", f"theory agrees in {total}{far}")
    worst = max(wrong, key=lambda cell: abs(np.nan_to_num(cell.check.errors)))
    where = f"{names[worst.label]} in {worst.layer or 'the whole network'}"
    count = f"theory disagrees in {len(wrong)} of {counted(verdict.judged, 'check')}"
    if len(wrong) > 1:
        return fitting(f"{count}, most with {where}", f"{count}{far}", count)
    return fitting(f"theory disagrees with {where}{far}", f"theory disagrees with {where}", count)
