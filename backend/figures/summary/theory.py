"""Whether measures agree with their law: layer by layer, and of an estimator in one verdict."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from backend.figures.data import law_checks as checks
from backend.figures.data import laws
from backend.figures.data.draws import is_microscope
from backend.figures.data.query import Query
from backend.figures.data.select import draws_of
from backend.figures.data.source import RunLike, Source
from backend.figures.reference import Reference
from estimators.statistics.law_check import LAW, LawCheck


class Cell(NamedTuple):
    """One layer of one estimator."""

    layer: str
    label: str
    check: LawCheck
    value: float
    law: float


class Theory(NamedTuple):
    """The checks of several layers, or of several lines, together."""

    verdict: Literal["agrees", "disagrees", "too early", "no theory"]
    agree: int
    judged: int
    worst: float
    """The largest distance from a law, in standard errors without sign; NaN where none is known."""

    @property
    def words(self) -> str:
        """`✓ theory agrees, 3 of 3, worst 3.7 standard errors`."""
        if self.verdict == "no theory":
            return "no theory"
        if self.verdict == "too early":
            return "too early to check theory"
        how = "✓ theory agrees" if self.verdict == "agrees" else "✗ theory disagrees"
        count = self.agree if self.verdict == "agrees" else self.judged - self.agree
        far = f", worst {self.worst:.1f} standard errors" if np.isfinite(self.worst) else ""
        return f"{how}, {count} of {self.judged}{far}"


def check_cell(
    source: Source,
    run: RunLike,
    exact: Reference,
    series: laws.SeriesByMetric,
    name: str,
    at: tuple[str, str],
    query: Query,
) -> Cell:
    """Check the measure `name` of one (layer, label), which has these series."""
    layer, label = at
    if is_microscope(run):
        values = checks.newest_values(source, series)
        count = int(source.points(series[name].id, newest=1).steps[-1])
        check = checks.check_point(source, exact, series, name, count)
        return Cell(layer, label, check, values.get(name, np.nan), values.get(LAW + name, np.nan))
    shown = source.points(series[name].id, first=query.first, last=query.last)
    law = checks.law_of(source, series, name, shown)
    if not law:
        return Cell(layer, label, checks.NO_LAW, np.nan, np.nan)
    check = checks.check_probes(source, exact, series, name, law, shown, draws_of(run))
    return Cell(layer, label, check, float(shown.values[-1]), float(law.values[-1]))


def theory(all_checks: Iterable[LawCheck]) -> Theory:
    """What these checks say together: one disagreement is enough to disagree."""
    kinds = [(checks.kind(check), check) for check in all_checks]
    judged = [(kind, check) for kind, check in kinds if kind in ("agrees", "disagrees")]
    agree = sum(kind == "agrees" for kind, _ in judged)
    distances = [abs(check.errors) for _, check in judged if np.isfinite(check.errors)]
    worst = max(distances, default=np.nan)
    if judged:
        verdict = "agrees" if agree == len(judged) else "disagrees"
        return Theory(verdict, agree, len(judged), worst)
    waiting = any(kind == "not judged" for kind, _ in kinds)
    return Theory("too early" if waiting else "no theory", 0, 0, np.nan)


def theory_of(
    source: Source,
    run_id: str,
    label: str,
    layers: Iterable[str],
    index: Mapping[tuple[str, str], laws.SeriesByMetric],
    query: Query,
) -> Theory:
    """The verdict on the variance of an estimator of a run, over these layers."""
    run, exact = source.run(run_id), Reference(source, run_id)
    cells = [
        check_cell(source, run, exact, index[layer, label], laws.VARIANCE, (layer, label), query)
        for layer in layers
        if laws.VARIANCE in index.get((layer, label), {})
    ]
    return theory(cell.check for cell in cells)
