"""Numbers and counts as they stand in a sentence."""

import math


def counted(count: int, noun: str) -> str:
    """A number of things: `1 draw`, `1,024 draws`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def signed(value: float, digits: int = 3) -> str:
    """With its sign, in so many significant digits."""
    return f"{value:+.{digits}g}"


def at_most(bound: float) -> str:
    """An upper bound in two digits, rounded up: what is stated to be below it is."""
    if not 0 < bound < math.inf:
        return f"{bound:g}"
    step = 10.0 ** (math.floor(math.log10(bound)) - 1)
    return f"{math.ceil(bound / step * (1 - 1e-12)) * step:.2g}"


def about(count: float) -> int:
    """A count in two digits, rounded up: that many are enough, and more digits are not known."""
    if count <= 100:
        return math.ceil(count)
    step = 10 ** (math.floor(math.log10(count)) - 1)
    return math.ceil(count / step) * step
