"""The measures of an estimator, from the moments of its draws.

g is the exact gradient, ĝ_1..ĝ_K are the draws, ḡ is their mean and S their covariance. A measure
is NaN where it is not defined: for a zero g, for a single draw where it needs a variance, without a
finite draw.
"""

import torch
from torch import Tensor

from estimators.measurement.draws.summary import Summary, mean, ratio, variance

METRICS = (
    "cosine",
    "cosine_sd",
    "cosine_mean",
    "scaled_error",
    "relative_variance",
    "relative_squared_bias",
    "relative_squared_bias_se",
    "relative_mse",
    "snr",
    "norm_ratio",
    "positive",
)


def measures_of(summary: Summary) -> dict[str, Tensor]:
    """Each measure of `METRICS` for each group of tensors, (G,)."""
    g2 = torch.where(summary.exact > 0, summary.exact, torch.nan)
    cosines, dot, square = summary.cosines, mean(summary.dots), mean(summary.squares)
    # ⟨Eĝ, g⟩² without the noise of the mean
    slope2 = dot.square() - variance(summary.dots) / summary.counts
    measures = {
        "cosine": mean(cosines),
        "cosine_sd": variance(cosines).sqrt(),
        "cosine_mean": ratio(summary.along, (summary.mean * g2).sqrt()),
        "scaled_error": 1 - ratio(slope2, g2 * square),
        "relative_variance": summary.trace / g2,
        "relative_squared_bias": (summary.mean - 2 * summary.along + g2 - summary.noise) / g2,
        "relative_squared_bias_se": summary.bias_variance.sqrt() / g2,
        "relative_mse": (square - 2 * dot + g2) / g2,
        "snr": (summary.mean - summary.noise).clamp(min=0) / summary.trace,
        "norm_ratio": mean(summary.norms) / g2.sqrt(),
        "positive": mean(positive(cosines)),
    }
    defined = summary.counts > 0
    return {name: torch.where(defined, _settled(measures[name]), torch.nan) for name in METRICS}


def positive(cosines: Tensor) -> Tensor:
    """1 where a draw points along the gradient, else 0: (K, G).

    Orthogonal draws are not positive, whichever way rounding turns them.
    """
    return torch.where(cosines.isfinite(), (cosines > 1e-12).to(cosines), torch.nan)


def _settled(x: Tensor) -> Tensor:
    """Round what is within 1e-13 of a whole number, so that the 1 ± 1e-16 of an exact estimator
    does not fill a chart; all else keeps its digits."""
    whole = x.round()
    return torch.where((x - whole).abs() < 1e-13 * whole.abs().clamp(min=1), whole, x)
