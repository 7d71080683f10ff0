"""The measures of an estimator, from the moments of its draws.

g is the exact gradient, ĝ_1..ĝ_K are the draws, ḡ is their mean and S their covariance. The
number of a measure is NaN where it is not defined: a zero g, a single draw where a variance
is asked for, no draw that is finite.
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


def statistics(of: Summary) -> dict[str, Tensor]:
    """Each measure of `METRICS` for each group of tensors, (G,)."""
    g2 = torch.where(of.exact > 0, of.exact, torch.nan)
    cosines, dot, square = of.cosines, mean(of.dots), mean(of.squares)
    # ⟨Eĝ, g⟩² without the noise of the mean
    slope2 = dot.square() - variance(of.dots) / of.counts
    found = {
        "cosine": mean(cosines),
        "cosine_sd": variance(cosines).sqrt(),
        "cosine_mean": ratio(of.along, (of.mean * g2).sqrt()),
        "scaled_error": 1 - ratio(slope2, g2 * square),
        "relative_variance": of.trace / g2,
        "relative_squared_bias": (of.mean - 2 * of.along + g2 - of.noise) / g2,
        "relative_squared_bias_se": of.bias_variance.sqrt() / g2,
        "relative_mse": (square - 2 * dot + g2) / g2,
        "snr": (of.mean - of.noise).clamp(min=0) / of.trace,
        "norm_ratio": mean(of.norms) / g2.sqrt(),
        "positive": mean(positive(cosines)),
    }
    known = of.counts > 0
    return {name: torch.where(known, _settled(found[name]), torch.nan) for name in METRICS}


def positive(cosines: Tensor) -> Tensor:
    """1 where a draw points along the gradient, else 0: (K, G).

    Orthogonal draws are not positive, whichever way they are rounded.
    """
    return torch.where(cosines.isfinite(), (cosines > 1e-12).to(cosines), torch.nan)


def _settled(x: Tensor) -> Tensor:
    """Without the last digits, so that an exact estimator's 1 ± 1e-16 does not fill a chart.

    Only near whole numbers, 0 among them; all else keeps its digits.
    """
    whole = x.round()
    return torch.where((x - whole).abs() < 1e-13 * whole.abs().clamp(min=1), whole, x)
