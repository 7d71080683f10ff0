"""Slope, variance and squared length of the mean estimate, from several live probes together.

A probe of K draws keeps its slope s = ⟨ḡ, g⟩ / ‖g‖² as the measure `along`. Runs of before do not
have it; it is then solved for from the other measures.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, variance
from typing import NamedTuple

from estimators.statistics.student import Sample, half_width

MEASURES: tuple[str, ...] = (
    "relative_variance",
    "relative_squared_bias",
    "relative_squared_bias_se",
    "snr",
    "cosine_mean",
    "norm_ratio",
    "exact/norm",
)
"""The measures of a probe that are read; `exact/norm` is of the run, the others of an estimator."""
SLOPE = "along"
"""A measure that is read too, where there is one."""


class ProbeMoments(NamedTuple):
    """Moments of a draw estimated from one probe, relative to ‖g‖²."""

    slope: float
    """s = ⟨ḡ, g⟩ / ‖g‖²."""
    size: float
    """‖Eĝ‖² / ‖g‖², without the noise of the mean."""


def probe_moments(
    variance: float, bias: float, snr: float, cosine_mean: float, draws: int
) -> ProbeMoments:
    """Slope and size from a probe's measures; NaN where the measures do not determine them.

    ‖ḡ − g‖² = ‖ḡ‖² − 2⟨ḡ, g⟩ + ‖g‖², and the SNR keeps ‖ḡ‖². In runs of before, an SNR below 0 is
    on record as 0. There r = ‖ḡ‖ / ‖g‖ solves r² − 2 r cos + 1 = ‖ḡ − g‖² / ‖g‖² with r² below the
    noise.
    """
    noise = variance / draws
    if snr != 0:
        slope = (1 + snr * variance - bias) / 2
    else:
        square = cosine_mean * cosine_mean - 1 + bias + noise
        root = math.sqrt(square) if square > 0 else 0.0 * square  # which keeps NaN
        length = cosine_mean + root
        if not length * length <= noise * (1 + 1e-6):
            length = cosine_mean - root
        slope = cosine_mean * length
    return ProbeMoments(slope, bias + 2 * slope - 1)


def is_usable(probe: Mapping[str, float]) -> bool:
    """Whether a probe has all measures and the gradient is not zero."""
    # The SNR is not defined where the variance is 0.
    complete = all(math.isfinite(value) for name, value in probe.items() if name != "snr")
    return complete and probe["exact/norm"] > 0


def pooled(probes: Sequence[Mapping[str, float]], draws: int) -> dict[str, float]:
    """The numbers that `estimators.statistics.diagnosis.explain` reads, from at least two probes.

    Args:
        probes: `MEASURES` of each probe, all usable, and its `SLOPE` where there is one.
        draws: draws of each probe.
    """
    moments = [_moments(probe, draws) for probe in probes]
    slopes = Sample.from_values(m.slope for m in moments)
    noise = slopes.variance / slopes.count
    half = half_width(slopes.count) * math.sqrt(noise)
    errors = [probe["relative_squared_bias_se"] for probe in probes]
    # The scatter of the part across g of each probe: its size less the square of its slope.
    scatter = variance(m.size - m.slope * m.slope for m in moments) / len(moments)
    return {
        "exact": fmean(probe["exact/norm"] for probe in probes) ** 2,
        "count": draws * len(probes),
        "longest": max(probe["norm_ratio"] for probe in probes),
        "s": slopes.mean,
        "square": max(0.0, slopes.mean**2 - noise),
        "s_se": math.sqrt(noise),
        "freedom": slopes.count - 1,
        "s_low": slopes.mean - half,
        "s_high": slopes.mean + half,
        "across": max(0.0, fmean(m.size for m in moments) - (slopes.mean**2 - noise)),
        "variance": fmean(probe["relative_variance"] for probe in probes),
        "across_se": max(math.hypot(*errors) / len(errors) + noise, math.sqrt(scatter)),
    }


def _moments(probe: Mapping[str, float], draws: int) -> ProbeMoments:
    spread, bias = probe["relative_variance"], probe["relative_squared_bias"]
    if SLOPE in probe:
        slope = probe[SLOPE]
        return ProbeMoments(slope, bias + 2 * slope - 1)
    if spread <= 0:  # every draw is the mean
        slope = probe["cosine_mean"] * probe["norm_ratio"]
        return ProbeMoments(slope, bias + 2 * slope - 1)
    return probe_moments(spread, bias, probe["snr"], probe["cosine_mean"], draws)
