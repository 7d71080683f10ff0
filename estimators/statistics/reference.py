"""When the exact gradient of a layer is rounding, so that nothing measured against it means much.

After Hao, Wan and Zhai (2026, arXiv:2606.21126), who found cosines reported against gradients at
the floor of float32 arithmetic, in residual networks whose activations grow before a last
normalisation.
"""

import math
from collections.abc import Sequence

from estimators.statistics.formatting import counted

MARGIN = 10.0
"""How many times its rounding error a gradient must be. At this ratio rounding can turn it by up to
0.1, about 6°, so that no cosine with it is off by more than 0.1."""
MAX_GROWTH = 50.0
"""The growth of the activations in one stage from which the network counts as unstable in scale:
the threshold of the protocol, whose healthy networks stay below 11 (25 early in training) and whose
failed ones are above 100."""
OF_THE_REFERENCE = (
    "cosine", "cosine_sd", "cosine_mean", "cosine_null", "scaled_error", "scaled_error_null",
    "relative_variance", "relative_squared_bias", "relative_squared_bias_se", "relative_mse",
    "norm_ratio", "positive", "along", "along_se",
)  # fmt: skip
"""The measures that compare with the exact gradient: all but the SNR."""
NULL_WIDTH = 1.96
"""Standard deviations that the null band of a cosine reaches either way: 95 % of a normal."""
ERROR_WIDTH = 1.645
"""Standard deviations of the slope at the null of the scaled error: 95 % of a normal are below."""
REDRAWS = 64
"""Most redraws of feedback: the standard deviation of a cosine is then known to 9 %."""
RULE = f"‖g‖ is below {MARGIN:g} times its own rounding error"
HATCH = "▨"
"""The mark in tables of a number that compares with a gradient that is rounding."""
HATCH_NOTE = f"{HATCH}: {RULE}; such numbers mean nothing and are in no mean"
ROUNDED = "the exact gradient is rounding"
"""Why nothing is judged there, in a few words."""
SHOWN = 5
"""Most layers that a sentence names."""


def is_rounding(norm: float, floor: float) -> bool:
    """Whether a gradient of this norm is below `MARGIN` times its rounding error.

    False where the floor is not known (NaN), and for a gradient that is zero in every precision.
    """
    return floor > 0 and norm < MARGIN * floor


def null_band(mean: float, sd: float) -> tuple[float, float]:
    """The ends of the null band of a cosine, within ±1."""
    return max(mean - NULL_WIDTH * sd, -1.0), min(mean + NULL_WIDTH * sd, 1.0)


def error_null(mean: float, sd: float) -> float:
    """The scaled error of an estimate at the upper end of the null of its cosine, one-sided: 95 %
    exceed it."""
    cosine = min(max(mean + ERROR_WIDTH * sd, 0.0), 1.0) if sd == sd else math.nan
    return 1 - cosine**2


def share_rounded(rounded: int, count: int, noun: str) -> str:
    """`the exact gradient is rounding at 3 of 16 probes`; "" if it is at none."""
    return f"{ROUNDED} at {rounded:,} of {counted(count, noun)}" if rounded else ""


def rounded_words(layers: Sequence[str], norms: Sequence[float], floors: Sequence[float]) -> str:
    """A sentence on the layers whose gradient is rounding; "" if there are none.

    `layers` are names, "" the whole network; norms and floors are theirs.
    """
    rows = [
        (layer or "(network)", norm)
        for layer, norm, floor in zip(layers, norms, floors, strict=True)
        if is_rounding(norm, floor)
    ]
    if not rows:
        return ""
    names = [name + (" (underflow)" if norm == 0 else "") for name, norm in rows]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{RULE} in {', '.join(names[:SHOWN])}{more}: what is measured against it means nothing"


def growth_words(layers: Sequence[str], growths: Sequence[float]) -> str:
    """A sentence on the stages whose activations grow too fast; "" if there are none."""
    rows = [
        f"{layer} ({growth:.3g} times)"
        for layer, growth in zip(layers, growths, strict=True)
        if growth > MAX_GROWTH and math.isfinite(growth)
    ]
    if not rows:
        return ""
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return (
        f"activations grow by more than {MAX_GROWTH:g} times in {', '.join(rows[:SHOWN])}{more}: "
        "behind a normalisation the gradient shrinks as much"
    )
