"""Several comparisons at once, by Holm (1979), and how many pairs a difference takes.

Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
Statistics 6, 65-70.
"""

import math
from collections.abc import Sequence

from estimators.statistics.student import two_sided

LEVEL = 0.05
"""The probability of a false verdict among all comparisons of a family."""


def holm(ps: Sequence[float], family: int | None = None) -> list[float]:
    """The adjusted p of each comparison: p̃₍ᵢ₎ = max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎).

    Those below a level may be taken for differences together: the probability that any of them is
    none is below that level, however the comparisons depend on each other. NaN, of a comparison
    that cannot be made yet, counts among the m and stays NaN.

    Args:
        family: m, if there are more comparisons than those given, such as all pairs where those
            with the best are given. Those that are not given are taken as not decided.
    """
    count = len(ps) if family is None else family
    adjusted, largest = [math.nan] * len(ps), 0.0
    comparable = [at for at, p in enumerate(ps) if not math.isnan(p)]
    for smaller, at in enumerate(sorted(comparable, key=lambda at: ps[at])):
        largest = max(largest, min(1.0, (count - smaller) * ps[at]))
        adjusted[at] = largest
    return adjusted


def next_level(adjusted: Sequence[float], family: int | None = None) -> float:
    """The level at which Holm's procedure tests the next comparison that is not decided."""
    decided = sum(p < LEVEL for p in adjusted)
    return LEVEL / max(1, (len(adjusted) if family is None else family) - decided)


def pairs_with_best(count: int) -> int:
    """The comparisons to count where the best of `count` by its mean is compared with the others.

    The best is chosen by the same numbers as it is compared by, so each of the count · (count − 1)
    / 2 pairs could have been the one that is looked at. With count − 1 in their place, more than
    5 % of the families without any difference would have one that is decided.
    """
    return count * (count - 1) // 2


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
