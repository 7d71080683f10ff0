"""How many standard errors an interval of Student's t reaches to a side."""

import math

Z = 1.959963984540054
"""The normal's 97.5 % quantile."""


def half_width(draws: int, z: float = Z) -> float:
    """Of the mean of so many draws, where a normal's would reach to z; NaN for a single one.

    Abramowitz and Stegun (1964), 26.7.5. At 95 % to 1 % from 8 draws on, to 1e-4 from 32 on.
    """
    if draws < 2:
        return math.nan
    n = draws - 1
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / n + second / n**2 + third / n**3 + fourth / n**4
