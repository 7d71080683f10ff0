"""Confidence intervals of the measures, given only from enough draws to cover as they should.

Nominally 95 % of the intervals hold the true value. Draws of perturbation estimators are
heavy-tailed (⟨ĝ, g⟩/‖g‖² of a forward gradient is χ²₁), so intervals from few draws cover less.
`MIN_DRAWS` has the number of draws from which an interval was measured to cover at least 92 %, on
the distributions that it meets (benchmarks/coverage.py). From fewer draws there is no interval.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from estimators.measurement.draws.summary import Summary, mean, over, ratio, variance
from estimators.measurement.estimates.measures import positive
from estimators.statistics.student import half_width, t_quantile

Bounds = tuple[Tensor, Tensor]
"""Low and high ends, (G,)."""

MIN_DRAWS = {
    "cosine": 8,
    "norm_ratio": 32,
    "positive": 16,
    "relative_mse": 128,
    "relative_variance": 128,
    "scaled_error": 64,
    "relative_squared_bias": 128,
    "along": 128,
}
"""Fewest draws of an interval of each measure; other measures have none."""


def interval(
    metric: str, summary: Summary, innovations: Tensor | None = None, level: float = 0.95
) -> Bounds | None:
    """The interval of a measure for each group, (G,); None where no interval of `metric` is known.

    NaN for groups with fewer draws than `MIN_DRAWS`, or with a zero gradient. `innovations` (K, G)
    are needed for the relative variance alone. Raises ValueError unless 0.5 ≤ level < 1.
    """
    if not 0.5 <= level < 1:
        raise ValueError(f"level is {level}; from 0.5 to less than 1 is allowed")
    if metric not in MIN_DRAWS:
        return None
    if metric == "relative_variance" and innovations is None:
        return None
    low, high = bounds(metric, summary, innovations, level)
    enough = summary.counts >= MIN_DRAWS[metric]
    return torch.where(enough, low, torch.nan), torch.where(enough, high, torch.nan)


def bounds(metric: str, summary: Summary, innovations: Tensor | None, level: float) -> Bounds:
    """The interval whatever the number of draws, for law checks and to measure its coverage."""
    g2 = torch.where(summary.exact > 0, summary.exact, torch.nan)
    if metric == "relative_variance":
        assert innovations is not None
        return skewed(innovations / g2, level)
    return _INTERVALS[metric](summary, g2, level)


def student(x: Tensor, level: float = 0.95) -> Bounds:
    """Student's interval of the mean of each column of (K, G); NaN entries are left out."""
    centre, count = mean(x), x.isfinite().sum(0)
    half = _quantiles(count, level) * over(variance(x), count).sqrt()
    return centre - half, centre + half


def skewed(x: Tensor, level: float = 0.95) -> Bounds:
    """Hall's (1992) interval of a mean: Student's t, corrected for skewness by a cubic
    transformation."""
    centre, count = mean(x), x.isfinite().sum(0)
    error = over(variance(x), count).sqrt()
    tilt = ratio(over(mean((x - centre) ** 3), count**2), error**3)  # skewness / √n

    def corrected(t: Tensor) -> Tensor:
        z = 1 + tilt * (t - tilt / 6)
        root = z.sign() * z.abs() ** (1 / 3)
        return torch.where(tilt.abs() < 1e-6, t, 3 / tilt * (root - 1))

    t = _quantiles(count, level)
    return centre - error * corrected(t), centre - error * corrected(-t)


def proportion(x: Tensor, level: float = 0.95) -> Bounds:
    """Wilson's (1927) interval of the mean of each column of (K, G) of zeros and ones.

    It stays within 0 … 1 and keeps a width at the ends. Next to the ends, where it covers too
    little, Poisson limits replace its own (Brown, Cai and DasGupta, 2001).
    """
    n, p = x.isfinite().sum(0).double(), mean(x)
    z2 = t_quantile((1 + level) / 2, 10**6) ** 2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = (z2 * (p * (1 - p) / n + z2 / (4 * n * n))).sqrt() / (1 + z2 / n)
    low, high = (centre - half).clamp(min=0), (centre + half).clamp(max=1)
    for k in (1, 2, 3):
        rare = (n > 50) | (k < 3)
        end = _poisson_end(k, level) / n
        low = torch.where(rare & ((n * p).round() == k), end, low)
        high = torch.where(rare & ((n * (1 - p)).round() == k), 1 - end, high)
    return low, high


@cache
def _poisson_end(k: int, level: float) -> float:
    """The mean of a Poisson number that is k or more with probability 1 − level; bisection."""
    low, high = 0.0, float(k)
    for _ in range(60):
        middle = (low + high) / 2
        fewer = sum(math.exp(-middle) * middle**i / math.factorial(i) for i in range(k))
        low, high = (middle, high) if 1 - fewer < 1 - level else (low, middle)
    return low


def _quantiles(count: Tensor, level: float) -> Tensor:
    return torch.tensor([half_width(n, level) for n in count.tolist()], dtype=torch.float64)


def _cosine(summary: Summary, g2: Tensor, level: float) -> Bounds:
    low, high = student(summary.cosines, level)
    # Of a single parameter the cosines are −1 or 1: their mean is a proportion.
    single = ((summary.cosines.abs() > 1 - 1e-12) | summary.cosines.isnan()).all(0)
    if summary.sizes is not None:  # an exact estimate of several numbers has no scatter
        single &= summary.sizes == 1
    share = proportion((1 + summary.cosines) / 2, level)
    low, high = (
        torch.where(single, 2 * end - 1, other)
        for end, other in zip(share, (low, high), strict=True)
    )
    return low.clamp(min=-1), high.clamp(max=1)


def _norm_ratio(summary: Summary, g2: Tensor, level: float) -> Bounds:
    low, high = student(summary.norms / g2.sqrt(), level)
    return low.clamp(min=0), high


def _mse(summary: Summary, g2: Tensor, level: float) -> Bounds:
    low, high = skewed(summary.errors / g2, level)
    return low.clamp(min=0), high


def _positive(summary: Summary, g2: Tensor, level: float) -> Bounds:
    return proportion(positive(summary.cosines), level)


def _scaled_error(summary: Summary, g2: Tensor, level: float) -> Bounds:
    """1 − r₊² by the delta method for r = a/√(‖g‖² q), a and q the means of ⟨ĝ, g⟩ and ‖ĝ‖².

    r itself, unlike its square, is nearly normal even where the slope is lost in noise.
    """
    a, q = mean(summary.dots), mean(summary.squares)
    r = a / (g2 * q).sqrt()
    terms = (summary.dots - a) / (g2 * q).sqrt() - r * (summary.squares - q) / (2 * q)
    low, high = student(terms + r, level)
    low, high = (end.clamp(0, 1) for end in (low, high))  # r ≤ 0 is an error of 1; NaN stays
    return 1 - high.square(), 1 - low.square()


def _squared_bias(summary: Summary, g2: Tensor, level: float) -> Bounds:
    bias = (summary.offset - summary.noise) / g2
    half = _quantiles(summary.counts, level) * summary.bias_variance.sqrt() / g2
    return bias - half, bias + half


def _along(summary: Summary, g2: Tensor, level: float) -> Bounds:
    return skewed(summary.dots / g2, level)


_INTERVALS: dict[str, Callable[[Summary, Tensor, float], Bounds]] = {
    "cosine": _cosine,
    "norm_ratio": _norm_ratio,
    "relative_mse": _mse,
    "positive": _positive,
    "scaled_error": _scaled_error,
    "relative_squared_bias": _squared_bias,
    "along": _along,
}
