"""The measures of an estimator, from the moments of its draws.

g is the exact gradient, ĝ_1..ĝ_K are the draws, ḡ is their mean and S their covariance. A measure
is NaN where it is not defined: for a zero g, for a single draw where it needs a variance, without a
finite draw.
"""

import torch
from torch import Tensor

from estimators.measurement.draws.summary import Summary, mean, over, ratio, variance
from estimators.statistics.direction import ORTHOGONAL
from estimators.statistics.reference import ERROR_WIDTH

METRICS = (
    "cosine",
    "cosine_sd",
    "cosine_mean",
    "cosine_null",
    "scaled_error",
    "scaled_error_null",
    "relative_variance",
    "relative_squared_bias",
    "relative_squared_bias_se",
    "relative_mse",
    "snr",
    "norm_ratio",
    "positive",
    "along",
    "along_se",
)
"""The numbers of an estimator at a frozen point, `_se` ones being standard errors of others."""


def measures_of(summary: Summary) -> dict[str, Tensor]:
    """Each measure of `METRICS` for each group of tensors, (G,)."""
    g2 = torch.where(summary.exact > 0, summary.exact, torch.nan)
    cosines, dot, square = summary.cosines, mean(summary.dots), mean(summary.squares)
    noise = over(variance(summary.dots), summary.counts)  # of the mean slope
    measures = {
        "cosine": mean(cosines),
        "cosine_sd": variance(cosines).sqrt(),
        "cosine_mean": ratio(summary.along, (summary.mean * g2).sqrt()),
        "cosine_null": mean(ratio(summary.flipped, summary.squares * g2)).sqrt(),
        "scaled_error": 1 - ratio(_downhill_square(dot, noise), g2 * square),
        "scaled_error_null": _error_null(summary, g2 * square),
        "relative_variance": summary.trace / g2,
        "relative_squared_bias": (summary.offset - summary.noise) / g2,
        "relative_squared_bias_se": summary.bias_variance.sqrt() / g2,
        "relative_mse": mean(summary.errors) / g2,
        "snr": (summary.mean - summary.noise) / summary.trace,
        "norm_ratio": mean(summary.norms) / g2.sqrt(),
        "positive": mean(positive(cosines)),
        "along": dot / g2,
        "along_se": noise.sqrt() / g2,
    }
    defined = summary.counts > 0
    return {name: torch.where(defined, _settled(measures[name]), torch.nan) for name in METRICS}


def _error_null(summary: Summary, scale: Tensor) -> Tensor:
    """The 5 % quantile of the scaled error where each unit has one random sign in all draws."""
    if summary.flipped_mean is None:
        return torch.full_like(scale, torch.nan)
    return (1 - ERROR_WIDTH**2 * ratio(summary.flipped_mean, scale)).clamp(min=0)


def _downhill_square(slope: Tensor, noise: Tensor) -> Tensor:
    """⟨Eĝ, g⟩₊² without the noise of the mean slope: 0 where the mean points uphill."""
    return torch.where(slope > 0, slope.square() - noise, 0.0 * noise)


def positive(cosines: Tensor) -> Tensor:
    """1 where a draw points along the gradient, else 0: (K, G).

    Orthogonal draws are not positive, whichever way rounding turns them.
    """
    return torch.where(cosines.isfinite(), (cosines > ORTHOGONAL).to(cosines), torch.nan)


def _settled(x: Tensor) -> Tensor:
    """Round what is within 1e-13 of a whole number, so that the 1 ± 1e-16 of an exact estimator
    does not fill a chart; all else keeps its digits."""
    whole = x.round()
    return torch.where((x - whole).abs() < 1e-13 * whole.abs().clamp(min=1), whole, x)
