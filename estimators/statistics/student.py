"""Student's t: its quantiles, and the interval of a mean from count, mean and squares."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

MIN_COUNT_SKEWED = 128
"""Fewest numbers for an interval of their mean where they are as heavy-tailed as the slopes and
curvatures of a perturbation's draws (measured: docs/measurement/calibration.md)."""


@dataclass(frozen=True)
class Sample:
    """Sufficient statistics of independent numbers."""

    count: int
    mean: float
    """NaN of an empty sample."""
    m2: float
    """Sum of the squared deviations from the mean."""

    @classmethod
    def from_values(cls, values: Iterable[float]) -> "Sample":
        """The sample of the values that are finite; the others are left out."""
        kept = [x for x in map(float, values) if math.isfinite(x)]
        if not kept:
            return cls(0, math.nan, 0.0)
        mean = total(kept) / len(kept)
        return cls(len(kept), mean, total([(x - mean) * (x - mean) for x in kept]))

    @property
    def variance(self) -> float:
        """The unbiased variance; NaN for fewer than 2 numbers."""
        return self.m2 / (self.count - 1) if self.count > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """The standard error of the mean; NaN for fewer than 2 numbers."""
        return math.sqrt(self.variance / self.count) if self.count > 1 else math.nan


def total(values: Sequence[float]) -> float:
    """The sum, exact but for one rounding; infinite where it overflows."""
    try:
        return math.fsum(values)
    except OverflowError:
        return sum(values)


def half_width(count: int, level: float = 0.95) -> float:
    """Half of the interval of a mean of `count` numbers, in standard errors of that mean.

    The quantile of Student's t with count − 1 degrees of freedom; NaN for fewer than 2 numbers.
    """
    return t_quantile((1 + level) / 2, count - 1) if count > 1 else math.nan


def t_of_normal(z: float, freedom: int) -> float:
    """The quantile of Student's t with the tail probability that the normal has at `z` > 0.

    A threshold of `z` standard errors, widened for a standard error from few numbers.
    """
    return t_quantile(NormalDist().cdf(z), freedom)


def two_sided(t: float, freedom: int) -> float:
    """P(|T| ≥ |t|) of Student's t with a whole number of degrees of freedom, at least 1.

    Its error is some 1e-16, however small it is.
    """
    return max(0.0, 1 - _probability_within(abs(t), freedom))


@cache
def t_quantile(p: float, freedom: int) -> float:
    """The quantile x of Student's t with P(T ≤ x) = p.

    Args:
        p: a probability, 0 < p < 1.
        freedom: a whole number of degrees of freedom, at least 1.

    Raises:
        ValueError: for a `p` or `freedom` out of range.
    """
    if not 0 < p < 1 or freedom < 1:
        raise ValueError(f"p is {p} and freedom {freedom}; 0 < p < 1 and at least 1 are allowed")
    if p < 0.5:
        return -t_quantile(1 - p, freedom)
    if freedom > 400:
        return _expansion(NormalDist().inv_cdf(p), freedom)
    low, high = 0.0, 1.0
    while _probability_within(high, freedom) < 2 * p - 1:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        inside = _probability_within(middle, freedom) < 2 * p - 1
        low, high = (middle, high) if inside else (low, middle)
    return high


def _probability_within(t: float, n: int) -> float:
    """P(|T| ≤ t): Abramowitz and Stegun (1964), 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(n))
    square, sine = math.cos(angle) ** 2, math.sin(angle)
    term = total = math.cos(angle) if n % 2 else 1.0
    for j in range(3 if n % 2 else 2, n - 1, 2):
        term *= square * (j - 1) / j
        total += term
    if n % 2 == 0:
        return sine * total
    return 2 / math.pi * (angle + (sine * total if n > 1 else 0.0))


def _expansion(x: float, n: int) -> float:
    """Cornish and Fisher's expansion, A&S 26.7.5; its error is below 1e-9 for n > 400."""
    first = (x**3 + x) / 4
    second = (5 * x**5 + 16 * x**3 + 3 * x) / 96
    third = (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384
    return x + first / n + second / n**2 + third / n**3
