"""Differences between two estimators and their 95 % intervals, by what pairs them.

The formulas are those of `estimators.statistics.paired`, which a figure cannot import: torch comes
with it. How often each interval covers is printed in docs/measurement.md.
"""

from typing import NamedTuple

import numpy as np

from backend.figures.data.source import Floats
from backend.figures.data.student import half_width as quantile

LEAST = 5
"""Fewest pairs of a comparison."""
SKEWED = 32
"""The same for probes of fewer than `DRAWS` draws, whose noise is far from normal."""
DRAWS = 16
FEW = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469, 7: 2.3646}
"""Student's 97.5 % quantiles of few degrees of freedom."""


class Difference(NamedTuple):
    """first − second."""

    mean: float
    half: float
    """Half the interval; NaN where there is none."""
    pairs: int
    larger: int
    """Pairs in which the first is the larger."""
    needed: int
    """Fewest pairs that an interval takes."""

    @property
    def told(self) -> bool:
        return bool(np.isfinite(self.half))

    @property
    def sign(self) -> int:
        """1 or −1 where the interval leaves out zero, else 0."""
        return int(np.sign(self.mean)) if self.told and abs(self.mean) > self.half else 0


def between(first: Floats, second: Floats, *, successive: bool, needed: int = LEAST) -> Difference:
    """Of pairs (n,); `successive` ones are the steps of one run, others are independent."""
    found = first - second
    found = found[np.isfinite(found)]
    n, larger = len(found), int((found > 0).sum())
    mean = float(found.mean()) if n else np.nan
    half = _half(found, successive=successive) if n >= needed else np.nan
    return Difference(mean, half, n, larger, needed)


def _half(found: Floats, *, successive: bool) -> float:
    n = len(found)
    if successive:
        variance, freedom = np.mean(np.diff(found) ** 2) / 2, 2 * (n - 1) // 3
    else:
        variance, freedom = found.var(ddof=1), n - 1
    return student(freedom) * float(np.sqrt(variance / n))


def apart(first: float, second: float, errors: tuple[float, float], draws: int) -> Difference:
    """Of two measures at one point, each of `draws` draws with noise of its own: nothing pairs the
    draws, so their standard errors add in squares."""
    half = student(draws - 1) * float(np.hypot(*errors))
    return Difference(first - second, half, draws, 0, 0)


def student(freedom: int) -> float:
    """The 97.5 % quantile."""
    return FEW[freedom] if freedom in FEW else quantile(freedom + 1)
