"""Quantiles of Student's t with a whole number of degrees of freedom."""

import math
from functools import cache
from statistics import NormalDist


@cache
def t_quantile(p: float, freedom: int) -> float:
    """x with P(T ≤ x) = p, for 0 < p < 1 and at least 1 degree of freedom."""
    if not 0 < p < 1 or freedom < 1:
        raise ValueError(f"p is {p} and freedom {freedom}; 0 < p < 1 and at least 1 are allowed")
    if p < 0.5:
        return -t_quantile(1 - p, freedom)
    if freedom > 400:
        return _expansion(NormalDist().inv_cdf(p), freedom)
    low, high = 0.0, 1.0
    while _between(high, freedom) < 2 * p - 1:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _between(middle, freedom) < 2 * p - 1 else (low, middle)
    return high


def _between(t: float, n: int) -> float:
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
    """Cornish and Fisher's, A&S 26.7.5: off by less than 1e-9 for so many degrees."""
    first = (x**3 + x) / 4
    second = (5 * x**5 + 16 * x**3 + 3 * x) / 96
    third = (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384
    return x + first / n + second / n**2 + third / n**3
