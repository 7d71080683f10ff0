"""A measure of one estimator over its latest probes: mean, range and 95 % interval."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from backend.figures.data import cautions
from backend.figures.data.query import WINDOW, Query
from backend.figures.data.select import Line, draws_of, is_microscope
from backend.figures.data.source import Floats, Source
from backend.figures.reference import Reference
from estimators.statistics.paired import min_pairs, paired, unpaired
from estimators.statistics.student import Sample, half_width


@dataclass(frozen=True)
class Pooled:
    """The finite values among the last points of a line, and what they are together."""

    line: Line
    steps: NDArray[np.int64]
    """Of all values, (n,)."""
    values: Floats
    """(n,), NaN and infinite ones among them."""
    faults: tuple[str, ...] = ()
    """What makes the estimator unusable, whatever its measure: a few words each."""
    sample: Sample = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample", Sample.from_values(self.values.tolist()))

    @property
    def finite(self) -> Floats:
        return self.values[np.isfinite(self.values)]

    @property
    def probes(self) -> int:
        return len(self.values)

    @property
    def lost(self) -> int:
        """How many values were NaN or infinite."""
        return self.probes - self.sample.count

    @property
    def mean(self) -> float:
        """NaN where no value is finite."""
        return self.sample.mean

    @property
    def low(self) -> float:
        """The lowest value; NaN where none is finite."""
        return float(self.finite.min()) if self.sample.count else np.nan

    @property
    def high(self) -> float:
        """The highest value; NaN where none is finite."""
        return float(self.finite.max()) if self.sample.count else np.nan

    @property
    def rms(self) -> float:
        """Root mean square."""
        # A diverging run's values overflow: infinity is then the right answer.
        with np.errstate(over="ignore"):
            return float(np.sqrt(np.mean(self.finite**2))) if self.sample.count else np.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Student's 95 % interval of the mean over these probes; NaN for fewer than two."""
        half = half_width(self.sample.count) * self.sample.standard_error
        return self.mean - half, self.mean + half


def pool(source: Source, line: Line, query: Query) -> Pooled:
    """The latest `query.window` points of a line, without those that compare with rounding."""
    kept = without_faults(source, line, Reference(source, line.run_id), query.window)
    faults = _faults(source, line, query)
    if not kept.probes:
        faults = (*faults, "gradient is rounding")
    return replace(kept, faults=faults)


def without_faults(source: Source, line: Line, exact: Reference, window: int) -> Pooled:
    """The same, without a look at what makes the estimator unusable."""
    # A microscope's points are the same draws counted on: the last one holds them all.
    points = source.points(line.series.id, newest=1 if is_microscope(line.run) else window)
    valid = ~exact.rounded(line.series, points.steps)
    return Pooled(line, points.steps[valid], points.values[valid])


def _faults(source: Source, line: Line, query: Query) -> tuple[str, ...]:
    lost = cautions.lost(source, line.run_id, line.label, query.window)
    unconverged = cautions.unconverged(source, line.run_id, line.label, query.window)
    uphill = cautions.uphill(source, line.run_id, line.label, query.layer, query.window)
    faulty = [each.brief for each in (lost, unconverged) if each.count]
    return (*(["points uphill"] if uphill else []), *faulty)


def tied(first: Pooled, second: Pooled) -> bool:
    """Whether the means of two lines cannot be told apart at 95 %.

    Probes of one run share weights and batch, and are compared in pairs; those of two runs are not.
    """
    if first.line.run_id != second.line.run_id:
        errors = first.sample.standard_error, second.sample.standard_error
        count = min(first.sample.count, second.sample.count)
        verdict = unpaired(first.mean, second.mean, errors, count).verdict
        return verdict not in ("larger", "smaller")
    _, here, there = np.intersect1d(first.steps, second.steps, return_indices=True)
    pairs = first.values[here].tolist(), second.values[there].tolist()
    needed = min(min_pairs(draws_of(first.line.run)), WINDOW)
    verdict = paired(*pairs, successive=True, needed=needed).verdict
    return verdict not in ("larger", "smaller")
