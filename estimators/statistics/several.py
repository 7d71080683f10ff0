"""Several comparisons at once, by Holm (1979), and how many pairs a difference takes.

Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
Statistics 6, 65-70.
"""

import math
from collections.abc import Sequence

from estimators.statistics.student import two_sided

LEVEL = 0.05
"""The probability of a false verdict among all comparisons of a family."""


def holm(ps: Sequence[float]) -> list[float]:
    """The adjusted p of each comparison: p̃₍ᵢ₎ = max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎).

    Those below a level may be taken for differences together: the probability that any of them is
    none is below that level, however the comparisons depend on each other. NaN, of a comparison
    that cannot be made yet, counts among the m and stays NaN.
    """
    adjusted, largest = [math.nan] * len(ps), 0.0
    comparable = [at for at, p in enumerate(ps) if not math.isnan(p)]
    for smaller, at in enumerate(sorted(comparable, key=lambda at: ps[at])):
        largest = max(largest, min(1.0, (len(ps) - smaller) * ps[at]))
        adjusted[at] = largest
    return adjusted


def next_level(adjusted: Sequence[float]) -> float:
    """The level at which Holm's procedure tests the next comparison that is not decided."""
    undecided = sum(not p < LEVEL for p in adjusted)
    return LEVEL / max(1, undecided)


def pairs_needed(
    difference: float, deviation: float, count: int, level: float, most: int
) -> int | None:
    """The fewest pairs n > `count` with t₁₋ₗ/₂,ₙ₋₁ · deviation / √n < |difference|.

    The mean difference and the standard deviation of the differences are taken to stay as they
    are. None if it is more than `most`.
    """

    def is_enough(pairs: int) -> bool:
        # The interval excludes zero where the tail beyond the difference is below its level.
        return two_sided(difference / deviation * math.sqrt(pairs), pairs - 1) < level

    low, high = max(count, 1), most
    if high <= low or not is_enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
