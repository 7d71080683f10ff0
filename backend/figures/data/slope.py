"""The slope of a power law on log axes: fitted with its standard error, and by theory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.figures.data.source import Floats

MIN_POINTS = 3
"""Fewest points of a slope."""
MIN_ERRORS = 4.0
"""Standard errors that a point must be above zero for its logarithm to be meaningful."""

AVERAGED = {
    "draws": ("gaussian_smoothing", "mean_of_draws", "node_perturbation"),
    "pairs": ("mezo", "spsa"),
    "tangents": (
        "activity_forward_gradient", "block_forward_gradient", "low_rank_forward_gradient",
        "sparse_forward_gradient",
    ),
}  # fmt: skip
"""Fields that count independent draws whose mean is the estimate: the variance falls as 1 / K."""
STEPS = {
    "eps": ("mezo", "node_perturbation", "spsa"),
    "mu": ("gaussian_smoothing",),
}
"""Step lengths of differences along symmetric noise: the bias is of second order in them."""
SMOOTH = ("gelu", "tanh")
SECOND_ORDER = 4
"""The exponent of a squared bias of second order."""
SMALL = 0.1
"""The relative squared bias up to which a step is small enough for its order to show."""


@dataclass(frozen=True)
class Slope:
    """An exponent with its standard error, fitted to the points that are clear of zero."""

    value: float
    error: float
    clear: NDArray[np.bool_]


def fitted(x: Floats, y: Floats, errors: Floats | None) -> Slope | None:
    """d log y / d log x by weighted least squares; None for fewer than 3 points clear of zero.

    Points (n,) are weighted by their standard errors, taken as independent. Where they scatter
    about the line by more than that, or have none, the slope's error is that of the scatter.
    """
    good = clear(y, errors)
    if good.sum() < MIN_POINTS:
        return None
    weights, weighted = _weights(y[good], None if errors is None else errors[good])
    slope, about, spread = _line(np.log(x[good]), np.log(y[good]), weights)
    scatter = math.sqrt(about / (int(good.sum()) - 2))
    return Slope(slope, (max(1.0, scatter) if weighted else scatter) / math.sqrt(spread), good)


def clear(y: Floats, errors: Floats | None) -> NDArray[np.bool_]:
    """Which points (n,) are clear of zero."""
    noise = np.zeros(len(y)) if errors is None else np.nan_to_num(errors)
    return np.isfinite(y) & (y > 0) & (np.nan_to_num(y) > MIN_ERRORS * noise)


def _weights(y: Floats, errors: Floats | None) -> tuple[Floats, bool]:
    """1 / Var log y, and whether it is known; equal weights where it is not."""
    weighted = errors is not None and bool((np.isfinite(errors) & (errors > 0)).all())
    return ((y / errors) ** 2 if errors is not None and weighted else np.ones(len(y))), weighted


def _line(x: Floats, y: Floats, weights: Floats) -> tuple[float, float, float]:
    """The slope, the weighted squares about the line, and those of x about its mean."""
    middle, height = (np.average(v, weights=weights) for v in (x, y))
    spread = float((weights * (x - middle) ** 2).sum())
    slope = float((weights * (x - middle) * (y - height)).sum() / spread)
    about = float((weights * (y - height - slope * (x - middle)) ** 2).sum())
    return slope, about, spread


def of_law(x: Floats, y: Floats, law: Floats, errors: Floats | None, like: Slope) -> float | None:
    """The law's slope over the same points with the same weights; None where the law has a gap or a
    zero there."""
    x, y, law = x[like.clear], y[like.clear], law[like.clear]
    if not (np.isfinite(law) & (law > 0)).all():
        return None
    weights, _ = _weights(y, None if errors is None else errors[like.clear])
    return _line(np.log(x), np.log(law), weights)[0]


def expected(
    component: Mapping[str, Any], network: Mapping[str, Any], field: str, metric: str
) -> int | None:
    """The exponent that theory gives a measure against a field of an estimator, without a law.

    None where none is known. `component` and `network` as a configuration describes them.
    """
    name, (leaf, *rest) = component.get("name"), field.split(".")
    if rest and name == "mean_of_draws":
        return expected(component[leaf], network, ".".join(rest), metric)
    if metric == "relative_variance" and name in AVERAGED.get(leaf, ()):
        return -1
    smooth = network.get("name") == "point" or network.get("activation") in SMOOTH
    if metric == "relative_squared_bias" and name in STEPS.get(leaf, ()) and smooth:
        return SECOND_ORDER
    return None


def rounded(value: float, error: float) -> tuple[str, str]:
    """Value and error, rounded to the first digit of the error, or the first two if that is a 1."""
    if not math.isfinite(error) or error <= 0:
        return _signed(value, 2), ""
    power = math.floor(math.log10(error))
    digits = min(6, max(0, -power + (error / 10.0**power < 1.95)))
    return _signed(value, digits), f"{error:.{digits}f}"


def _signed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


def words(
    label: str, fitted_slope: Slope, law: float | None, theory: float | None, points: int
) -> str:
    """`forward_gradient: measured −1.00 ± 0.03, law −1`."""
    value, error = rounded(fitted_slope.value, fitted_slope.error)
    text = f"{label}: measured {value}{f' ± {error}' if error else ''}"
    if fitted_slope.clear.sum() < points:
        text += f" (of {int(fitted_slope.clear.sum())} of its {points} points)"
    if law is not None:
        return f"{text}, law {_exact(law, fitted_slope.error)}"
    return text if theory is None else f"{text}, theory {_exact(theory, fitted_slope.error)}"


def _exact(value: float, error: float) -> str:
    """A whole exponent without digits; others as precise as what they are compared with."""
    return _signed(value, 0) if abs(value - round(value)) < 1e-6 else rounded(value, error)[0]


def listed(slopes: Sequence[str]) -> str:
    """The note under the figure; "" where no slope is known."""
    return f"slope of {'; '.join(slopes)} (± 1 standard error)" if slopes else ""
