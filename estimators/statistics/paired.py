"""Two estimators compared by one measure: the mean difference, its interval and a verdict.

Where the two of a pair share weights and batch, what they have in common cancels in the difference.
Pairs of different seeds are independent. Successive probes of one run are not: their measures drift
together with the weights. Their comparison is about the mean difference over these probes alone.
The only error of that mean is the noise of the draws, which is independent from probe to probe. Its
variance is half the mean square of successive differences (von Neumann, 1941), on which a slow
drift has little effect.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from estimators.statistics.formatting import signed
from estimators.statistics.student import half_width, t_quantile, total

MIN_PAIRS = 5
"""Fewest pairs of an interval."""
MIN_PAIRS_OF_FEW_DRAWS = 32
"""The same for measures of fewer than `FEW_DRAWS` draws, whose noise is far from normal."""
FEW_DRAWS = 16

Verdict = Literal["larger", "smaller", "no difference", "not judged"]


def min_pairs(draws: int) -> int:
    """Fewest pairs of measures, each of `draws` draws, that an interval takes."""
    return MIN_PAIRS_OF_FEW_DRAWS if draws < FEW_DRAWS else MIN_PAIRS


@dataclass(frozen=True)
class Differences:
    """Sufficient statistics of paired differences, first − second."""

    count: int
    """Pairs that are finite in both."""
    mean: float
    m2: float
    """Sum of the squared deviations from the mean."""
    successive: float
    """Sum of the squared differences of each with the next."""
    positive: int
    """Pairs in which the first is larger."""

    @classmethod
    def from_pairs(cls, first: Iterable[float], second: Iterable[float]) -> "Differences":
        """The statistics of two sequences of the same length, in the order of the pairs."""
        differences = [float(a) - float(b) for a, b in zip(first, second, strict=True)]
        kept = [x for x in differences if math.isfinite(x)]
        mean = total(kept) / len(kept) if kept else math.nan
        steps = [after - before for after, before in zip(kept[1:], kept, strict=False)]
        return cls(
            len(kept),
            mean,
            total([(x - mean) * (x - mean) for x in kept]),
            total([step * step for step in steps]),
            sum(x > 0 for x in kept),
        )


@dataclass(frozen=True)
class Comparison:
    """The difference first − second of one measure."""

    pairs: int
    """Pairs that are finite in both; where `unit` is "draws", draws of each."""
    difference: float
    """The mean difference; NaN without a pair."""
    low: float
    high: float
    """Ends of the 95 % interval of the mean difference; NaN where there is none."""
    first_larger: int
    """Pairs in which the first is larger."""
    needed: int = MIN_PAIRS
    """Fewest pairs of an interval."""
    unit: str = "pairs"
    """What is counted: pairs, probes, batches, seeds; or draws, which are not paired."""

    @property
    def half_width(self) -> float:
        """Half of the interval's width; NaN where there is none."""
        return (self.high - self.low) / 2

    @property
    def judged(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def verdict(self) -> Verdict:
        """Whether the first is larger or smaller, by the side of 0 on which the interval lies."""
        if not self.judged:
            return "not judged"
        return "larger" if self.low > 0 else "smaller" if self.high < 0 else "no difference"

    @property
    def interval_text(self) -> str:
        """`+0.3, 95 % interval +0.1 … +0.5`."""
        ends = f"{signed(self.low)} … {signed(self.high)}"
        return f"{signed(self.difference)}, 95 % interval {ends}"

    @property
    def count_text(self) -> str:
        """`larger in 7 of 8 pairs`, or `256 draws`."""
        count = f"{self.pairs:,} {self.unit}"
        return count if self.unit == "draws" else f"larger in {self.first_larger:,} of {count}"

    @property
    def reason(self) -> str:
        """Why there is no interval; "" where there is one."""
        if self.judged:
            return ""
        if self.unit == "draws":
            return f"too few draws for an interval ({self.pairs:,})"
        unit = self.unit.removesuffix("s") if self.pairs == 1 else self.unit
        return f"{self.pairs} {unit}, a comparison takes at least {self.needed}"

    @property
    def text(self) -> str:
        """The verdict in a sentence."""
        if not self.judged:
            return self.reason
        verdict = {
            "larger": "the first is larger",
            "smaller": "the first is smaller",
            "no difference": "no difference found",
        }[self.verdict]
        return f"{verdict}: {self.interval_text}; {self.count_text}"


def paired(
    first: Sequence[float],
    second: Sequence[float],
    *,
    successive: bool = False,
    needed: int = MIN_PAIRS,
    unit: str = "pairs",
) -> Comparison:
    """Compare two measures that were taken at the same seeds, batches or steps.

    The interval is Student's, for pairs that are independent of each other, as seeds are.

    Args:
        first, second: one number a pair, in the same order; pairs that are not finite in both are
            left out.
        successive: the pairs are successive probes of one run. The interval is then of the mean
            over these probes alone; another run may differ.
        needed: fewest pairs of an interval (`min_pairs`).
        unit: what the pairs are called.

    Raises:
        ValueError: for sequences of different lengths.
    """
    if len(first) != len(second):
        raise ValueError(
            f"there are {len(first)} first and {len(second)} second numbers; each needs its pair"
        )
    differences = Differences.from_pairs(first, second)
    return compare(differences, successive=successive, needed=needed, unit=unit)


def compare(
    differences: Differences,
    *,
    successive: bool = False,
    needed: int = MIN_PAIRS,
    unit: str = "pairs",
) -> Comparison:
    """The comparison that follows from sufficient statistics; see `paired`."""
    half = math.nan
    if differences.count >= max(2, needed):
        squares = differences.successive if successive else differences.m2
        half = _half_width(squares, differences.count, successive=successive)
    ends = differences.mean - half, differences.mean + half
    return Comparison(
        differences.count, differences.mean, *ends, differences.positive, needed, unit
    )


def unpaired(first: float, second: float, errors: tuple[float, float], draws: int) -> Comparison:
    """Compare two measures at one point, each of `draws` draws with noise of its own.

    Nothing pairs the draws, so the squares of the two standard errors (`errors`) add.
    """
    half = half_width(draws) * math.hypot(*errors)
    difference = first - second
    return Comparison(draws, difference, difference - half, difference + half, 0, 0, "draws")


def interval_half_width(differences: Any, *, successive: bool = False) -> Any:
    """Half of the 95 % interval of the mean difference, from all of n ≥ 2 differences.

    `differences` is a sequence of n floats, or an array or tensor (n, …): then one half width for
    each column.
    """
    n = len(differences)
    if successive:
        pairs = zip(differences[1:], differences[:-1], strict=True)
        deviations = [after - before for after, before in pairs]
    else:
        mean = sum(differences) / n
        deviations = [x - mean for x in differences]
    squares = sum(x * x for x in deviations)
    return _half_width(squares, n, successive=successive)


def _half_width(squares: Any, n: int, *, successive: bool) -> Any:
    """Half width from `squares`: Σ (d_{i+1} − d_i)² if `successive`, else Σ (d_i − d̄)²."""
    if successive:
        variance, freedom = squares / (2 * (n - 1)), max(1, 2 * (n - 1) // 3)
    else:
        variance, freedom = squares / (n - 1), n - 1
    return t_quantile(0.975, freedom) * (variance / n) ** 0.5
