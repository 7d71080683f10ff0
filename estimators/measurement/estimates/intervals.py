"""Intervals for measures, drawn only where they keep what they say.

Nominally 95 % of intervals hold the true value. Draws of perturbation estimators are heavy-tailed
(⟨ĝ, g⟩/‖g‖² of a forward gradient is χ²₁), so few draws cover less: `LEAST` is the number from
which an interval was measured to cover at least 92 %, on the distribution that it meets
(benchmarks/coverage.py; docs/measurement.md). Below it there is none.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from estimators.measurement.draws.summary import Summary, mean, over, ratio, variance
from estimators.measurement.estimates.measures import positive
from estimators.statistics.student import t_quantile

Bounds = tuple[Tensor, Tensor]
"""Low and high ends, (G,)."""

LEAST = {
    "cosine": 8,
    "norm_ratio": 32,
    "positive": 16,
    "relative_mse": 128,
    "relative_variance": 128,
    "scaled_error": 64,
    "relative_squared_bias": 128,
}
"""Fewest draws for which an interval of the measure is drawn. Others have none."""
LEAST_OF_MEANS = 128
"""The same for the interval of a mean as heavy-tailed as a slope or a curvature."""


def interval(
    metric: str, of: Summary, innovations: Tensor | None = None, level: float = 0.95
) -> Bounds | None:
    """Where the true value lies, for each group; None where no interval of `metric` is known.

    NaN for groups with fewer draws than `LEAST`, or without a gradient. `innovations` (K, G) are
    needed for the relative variance alone. Raises ValueError unless 0.5 ≤ level < 1.
    """
    if not 0.5 <= level < 1:
        raise ValueError(f"level is {level}; from 0.5 to less than 1 is allowed")
    if metric not in LEAST:
        return None
    if metric == "relative_variance" and innovations is None:
        return None
    low, high = bounds(metric, of, innovations, level)
    enough = of.counts >= LEAST[metric]
    return torch.where(enough, low, torch.nan), torch.where(enough, high, torch.nan)


def bounds(metric: str, of: Summary, innovations: Tensor | None, level: float) -> Bounds:
    """The interval whatever the number of draws: for measuring what it covers."""
    g2 = torch.where(of.exact > 0, of.exact, torch.nan)
    if metric == "relative_variance":
        assert innovations is not None
        return skewed(innovations / g2, level)
    return _MADE[metric](of, g2, level)


def student(x: Tensor, level: float = 0.95) -> Bounds:
    """Student's interval for the mean of each column of (K, G); NaN entries are left out."""
    centre, count = mean(x), x.isfinite().sum(0)
    half = _quantiles(count, level) * over(variance(x), count).sqrt()
    return centre - half, centre + half


def skewed(x: Tensor, level: float = 0.95) -> Bounds:
    """Hall's (1992) interval for a mean: Student's t, its skewness taken out by a cubic."""
    centre, count = mean(x), x.isfinite().sum(0)
    error = over(variance(x), count).sqrt()
    tilt = ratio(over(mean((x - centre) ** 3), count**2), error**3)  # skewness / √n

    def turned(t: Tensor) -> Tensor:
        z = 1 + tilt * (t - tilt / 6)
        root = z.sign() * z.abs() ** (1 / 3)
        return torch.where(tilt.abs() < 1e-6, t, 3 / tilt * (root - 1))

    t = _quantiles(count, level)
    return centre - error * turned(t), centre - error * turned(-t)


def proportion(x: Tensor, level: float = 0.95) -> Bounds:
    """Wilson's (1927) for the mean of each column of (K, G) of zeros and ones.

    It neither leaves 0 … 1 nor shrinks to nothing at its ends; next to them, where it covers too
    little, its ends are those of a Poisson number (Brown, Cai and DasGupta, 2001).
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
    p = (1 + level) / 2
    found = [t_quantile(p, n - 1) if n > 1 else float("nan") for n in count.tolist()]
    return torch.tensor(found, dtype=torch.float64)


def _cosine(of: Summary, g2: Tensor, level: float) -> Bounds:
    low, high = student(of.cosines, level)
    # Those of a single number are −1 or 1: a proportion in disguise.
    of_one = ((of.cosines.abs() > 1 - 1e-12) | of.cosines.isnan()).all(0)
    if of.sizes is not None:  # an exact estimate of more numbers has no scatter, and is sure
        of_one &= of.sizes == 1
    share = proportion((1 + of.cosines) / 2, level)
    low, high = (
        torch.where(of_one, 2 * end - 1, other)
        for end, other in zip(share, (low, high), strict=True)
    )
    return low.clamp(min=-1), high.clamp(max=1)


def _norm_ratio(of: Summary, g2: Tensor, level: float) -> Bounds:
    low, high = student(of.norms / g2.sqrt(), level)
    return low.clamp(min=0), high


def _mse(of: Summary, g2: Tensor, level: float) -> Bounds:
    low, high = skewed(of.errors / g2, level)
    return low.clamp(min=0), high


def _positive(of: Summary, g2: Tensor, level: float) -> Bounds:
    return proportion(positive(of.cosines), level)


def _scaled_error(of: Summary, g2: Tensor, level: float) -> Bounds:
    """The delta method for r = a/√(‖g‖² q), a and q the means of ⟨ĝ, g⟩ and ‖ĝ‖²; then 1 − r².

    r itself, unlike its square, is still near normal where the slope is lost in noise.
    """
    a, q = mean(of.dots), mean(of.squares)
    r = a / (g2 * q).sqrt()
    low, high = student((of.dots - a) / (g2 * q).sqrt() - r * (of.squares - q) / (2 * q) + r, level)
    least = torch.where(low * high <= 0, 0.0, torch.minimum(low.abs(), high.abs()))
    most = torch.maximum(low.abs(), high.abs())
    undefined = torch.where(low.isnan(), torch.nan, 0.0)
    return (1 - most.square()).clamp(0, 1) + undefined, (1 - least.square()).clamp(0, 1) + undefined


def _squared_bias(of: Summary, g2: Tensor, level: float) -> Bounds:
    bias = (of.mean - 2 * of.along + of.exact - of.noise) / g2
    half = _quantiles(of.counts, level) * of.bias_variance.sqrt() / g2
    return bias - half, bias + half


_MADE: dict[str, Callable[[Summary, Tensor, float], Bounds]] = {
    "cosine": _cosine,
    "norm_ratio": _norm_ratio,
    "relative_mse": _mse,
    "positive": _positive,
    "scaled_error": _scaled_error,
    "relative_squared_bias": _squared_bias,
}
