"""A measurement as tables: what was measured with what theory says below it, and what is wrong."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from estimators.measurement.estimates.diagnosis import told_with
from estimators.measurement.estimates.variance_split import Anatomy, many
from estimators.measurement.estimates.verdicts import LEAST
from estimators.measurement.results.table import Table

if TYPE_CHECKING:
    from estimators.measurement.results.measurement import Measurement

SHOWN = (
    "cosine", "norm_ratio", "scaled_error", "relative_variance", "relative_squared_bias",
)  # fmt: skip
"""The columns; `Measurement.rows` has the others."""
DIFFERENCES = ("scaled_error", "relative_squared_bias")
ROUNDING = 1e-12
"""What is nearer to 0 is what rounding leaves of a difference."""
INTERVAL = "± is half the 95 % interval's width, from the draws on from which it holds"
LAW = "by its law: what theory says of it, and whether the draws agree"


def measures_table(of: "Measurement", places: Sequence[int]) -> Table:
    """The measures of the layers at these places, an estimator below the other."""
    shown = [m for m in SHOWN if any(m in found for found in of.values.values())]
    rows = once([
        row for i in places for label in of.values for row in measure_rows(of, label, i, shown)
    ])  # fmt: skip
    head = ["layer", "estimator", *(m.replace("_", " ") for m in shown)]
    return Table(title(of), [*head, *(["bias"] if of.verdicts else [])], rows, note(of, places))


def measure_rows(of: "Measurement", label: str, i: int, shown: Sequence[str]) -> list[list[str]]:
    """What was measured of one estimator in one layer, and what its law says."""
    layer, found, laws = of.layers[i] or "(network)", of.values[label], of.laws.get(label, {})
    ends = of.intervals.get(label, {})
    measured = [_measured(_clean(m, found[m][i]), ends[m][i] if m in ends else None) for m in shown]
    verdict = [_verdict(of, label, i)] if of.verdicts else []
    rows = [[layer, label, *measured, *verdict]]
    if any(m in laws and not math.isnan(laws[m][i]) for m in shown):
        said = [_law(of, label, m, i) if m in laws else "" for m in shown]
        rows.append(["", "  by its law", *said, *[""] * len(verdict)])
    return rows


def title(of: "Measurement") -> str:
    """How many draws, where; and what is not a number, by name."""
    lost = [f"{n} of {label} not finite" for label, n in of.nonfinite.items() if n]
    dead = [
        layer or "(network)" for layer, g in zip(of.layers, of.exact_norm, strict=True) if not g
    ]
    more = f" and {len(dead) - 5} more" if len(dead) > 5 else ""
    notes = [*lost, *([f"zero gradient in {', '.join(dead[:5])}{more}"] if dead else [])]
    if of.draws == 1:
        notes.append("one draw has no variance")
    return ", ".join([f"{many(of.draws, 'draw')} at loss {of.loss:.4g}", *notes])


def note(
    of: "Measurement", places: Sequence[int] = (), sources: Mapping[str, str] | None = None
) -> str:
    """What the numbers are."""
    hidden = len(of.layers) - len(places)
    ends = (e for f in of.intervals.values() for m in f.values() for e in m)
    return "; ".join([
        drawn(of.sources if sources is None else sources),
        *([INTERVAL] if any(ends) else []),
        *([LAW] if of.laws else []),
        *([f"{hidden} layers more: .table(), .table('tensor')"] if places and hidden else []),
    ])  # fmt: skip


def drawn(sources: Mapping[str, str]) -> str:
    """How the draws came about; where some have no oracle, which are honest."""
    honest = [label for label, source in sources.items() if source == "honest"]
    if len(honest) == len(sources):
        return "draws: honest"
    return "draws: oracle" + (f", but honest of {', '.join(honest)}" if honest else "")


def findings_table(
    of: "Measurement", places: Sequence[int], anatomies: Mapping[str, Anatomy]
) -> Table:
    """What is wrong of each estimator, layer by layer."""
    rows = []
    for i in places:
        for label, found in of.findings.items():
            one = told_with(found[i], anatomies.get(label))
            rows.append([of.layers[i] or "(network)", label, one.cause, one.text])
    return Table(
        title(of), ["layer", "estimator", "cause", "in words"], once(rows), words=3, sentence=True
    )


def once(rows: list[list[str]]) -> list[list[str]]:
    """Each layer's name at its first row alone."""
    above = ""
    found = []
    for row in rows:
        found.append(["" if row[0] in ("", above) else row[0], *row[1:]])
        above = row[0] or above
    return found


def _measured(value: float, ends: tuple[float, float] | None) -> str:
    half = (ends[1] - ends[0]) / 2 if ends else 0.0
    # What rounding leaves of an exact estimator is no interval.
    wide = half > max(1e-9 * abs(value), 0.0 if value else ROUNDING)
    return short(value) + (f" ± {half:.2g}" if wide else "")


def _law(of: "Measurement", label: str, metric: str, i: int) -> str:
    lamp = of.lamps.get(label, {}).get(metric)
    verdict = lamp[i] if lamp else ""
    # Fewer than 64 draws are not held against a law.
    return short(_clean(metric, of.laws[label][metric][i])) + (
        f" {verdict}" if verdict.endswith("agrees") else ""
    )


def _verdict(of: "Measurement", label: str, i: int) -> str:
    found = of.verdicts.get(label)
    if not found:
        return f"– (takes {LEAST} draws)"
    if found[i].biased is None:
        few = found[i].draws < LEAST
        return f"– ({found[i].draws} finite draws of {LEAST})" if few else "– (zero gradient)"
    return "biased" if found[i].biased else f"none (< {short(found[i].bound)})"


def short(x: float) -> str:
    """Three digits, thousands in full; a dash for what is not defined."""
    if math.isnan(x):
        return "–"
    # −0 is 0.
    return f"{x:,.0f}" if 1e3 <= abs(x) < 1e7 else f"{x + 0.0:.3g}"


def _clean(metric: str, x: float) -> float:
    """0 where only rounding is left of a difference of numbers about 1."""
    return 0.0 if metric in DIFFERENCES and abs(x) < ROUNDING else x
