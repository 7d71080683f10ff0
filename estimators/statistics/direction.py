"""Does an estimate point downhill, as the gradient does, or uphill?

Squared measures lose the sign: −g has the squared cosine of g. So the slope a = ⟨Eĝ, g⟩/‖g‖² is
reported beside them, and an estimate is said to point uphill where a is below 0 by more than noise
explains. One rule for page, export, notebook and terminal.
"""

import math
from collections.abc import Sequence

from estimators.statistics.student import Sample, t_of_normal

ORTHOGONAL = 1e-12
"""Cosines up to this are rounding: a draw that is orthogonal to the gradient is not positive."""
MIN_ERRORS = 4.0
"""Standard errors by which a slope must be below 0, of a normal; of few draws Student's t asks for
more."""


def points_uphill(slope: float, error: float, freedom: int) -> bool:
    """Whether a mean slope is below 0 by more than noise explains.

    Args:
        slope: an estimate of ⟨Eĝ, g⟩, in any unit.
        error: its standard error, in the same unit; 0 where all draws are the same.
        freedom: the degrees of freedom of that standard error.
    """
    if not slope < 0 or not math.isfinite(error) or freedom < 1:
        return False
    return -slope > t_of_normal(MIN_ERRORS, freedom) * error


def probes_point_uphill(slopes: Sequence[float], errors: Sequence[float], draws: int) -> bool:
    """Whether the mean of several probes points uphill; those that are not finite are left out.

    Args:
        slopes: the slope of each probe.
        errors: its standard error at each probe, from `draws` draws.
        draws: draws of each probe.
    """
    pairs = [
        (slope, error)
        for slope, error in zip(slopes, errors, strict=True)
        if math.isfinite(slope) and math.isfinite(error)
    ]
    if not pairs:
        return False
    mean = Sample.from_values(slope for slope, _ in pairs).mean
    error = math.hypot(*(error for _, error in pairs)) / len(pairs)
    return points_uphill(mean, error, len(pairs) * (draws - 1))
