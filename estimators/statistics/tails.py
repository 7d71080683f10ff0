"""Which intervals the tails of the draws may spoil, and how that is said.

An interval of a mean rests on the draws that were made. Where rare draws are far larger than the
others it is too narrow, and more so where none of them has come yet: 2 % of draws ten times as
large are missing altogether in 27 % of all sets of 64 draws. The cosine and the fraction of
descending draws are bounded, so that no draw can be far larger in them.

The rule was set by the coverage of intervals on draws of known distributions, with and without
heavy tails (benchmarks/coverage.py, docs/measurement/calibration.md).
"""

MIN_DRAWS = 256
"""Fewest draws from which the tail is judged."""
MIN_INDEX = 2.0
"""Tail index of squared deviations below which they have no finite variance."""
LIGHT_INDEX = 4.0
"""Tail index from which a tail is light, whatever it is further in."""
GROWTH = 1.3
"""How much the index grows at least from the largest quarter of the draws to the √K largest, where
the tail falls faster than a power."""
UNAFFECTED = ("cosine", "positive")
"""Measures whose intervals no tail can spoil."""
MARK = "~"
"""Stands behind ± where the tail is heavy."""
HEAVY = "heavy tails: its intervals and standard errors may be too small"
FEW = (
    f"below {MIN_DRAWS} draws tails are not judged: rare large draws may make intervals and "
    "standard errors too small"
)
MARKED = f"±{MARK}: {HEAVY}"


def is_heavy(index: float, further_in: float) -> bool:
    """Whether the tail is heavy, from two tail indices of squared deviations.

    Args:
        index: of the √K largest.
        further_in: of the largest quarter. Contamination by rare large draws, and sums of
            heavy-tailed numbers, have an index that does not grow towards the tail.
    """
    return index < MIN_INDEX or (index < LIGHT_INDEX and index < GROWTH * further_in)
