"""Whether one-step draws lower the loss, and why there may be no best learning rate.

To second order the expected change −η⟨Eĝ, g⟩ + η²/2 E ĝᵀHĝ is least at η = ⟨Eĝ, g⟩ / E ĝᵀHĝ, where
the draws lead down (a positive slope) and the loss curves upwards.
"""

import math
from collections.abc import Sequence

from estimators.statistics.student import Sample, half_width, total


def skewed_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Hall's (1992) interval of the mean of finite numbers: Student's t, corrected for skewness.

    NaN for fewer than 2 numbers.
    """
    sample = Sample.from_values(values)
    error = sample.standard_error
    if not error > 0:
        return sample.mean + 0 * error, sample.mean + 0 * error
    third = total([(x - sample.mean) * (x - sample.mean) * (x - sample.mean) for x in values])
    tilt = third / sample.count**3 / error**3  # skewness / √n

    def corrected(t: float) -> float:
        z = 1 + tilt * (t - tilt / 6)
        return t if abs(tilt) < 1e-6 else 3 / tilt * (math.copysign(abs(z) ** (1 / 3), z) - 1)

    t = half_width(sample.count, level)
    return sample.mean - error * corrected(t), sample.mean - error * corrected(-t)


def descends(slopes: Sequence[float]) -> bool | None:
    """Whether a small step lowers the loss on average; None where the draws do not tell.

    `slopes` are ⟨ĝ, g⟩ of the finite draws.
    """
    if len(slopes) < 2 or not any(slopes):
        return None
    low, high = skewed_interval(slopes)
    return None if low <= 0 <= high else low > 0


def obstacle(slopes: Sequence[float], curvatures: Sequence[float]) -> str:
    """Why there is no best learning rate; "" where there is one. Of the finite draws."""
    if not slopes:
        return "no draw is finite"
    if not any(slopes):
        return "the draws or the exact gradient are zero"
    leads_down = descends(slopes)
    if leads_down is None:
        return f"{len(slopes):,} draws cannot tell whether they lead down"
    if not leads_down:
        return "the mean draw points uphill and raises the loss"
    return "" if total(curvatures) > 0 else "the loss does not curve upwards along the draws"
