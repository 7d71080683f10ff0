"""What the law says of a measure at each probe, and what a probe says of the moments behind it.

A probe keeps variance and squared bias by the law; where that bias is 0 the other measures
follow from the relative variance V: the relative MSE is V, the scaled error V / (1 + V), the SNR
1 / V.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.figures.data.select import Line
from backend.figures.data.source import Floats, SeriesLike, Source

SPREAD, BIAS, MSE = "relative_variance", "relative_squared_bias", "relative_mse"
ERROR, SNR = "scaled_error", "snr"
PREDICTED = (SPREAD, BIAS, MSE, ERROR, SNR)
"""The measures that follow from a law."""
PREFIX = "law/"
MOMENTS = (SPREAD, BIAS, SNR, "cosine_mean")
"""What a probe's ⟨ḡ, g⟩ is told from, beside the measure itself."""


class Law(NamedTuple):
    """What the law says of one measure, (n,) each."""

    steps: NDArray[np.int64]
    values: Floats


Held = dict[str, SeriesLike]


def held(source: Source, line: Line) -> Held:
    """The series of a line's layer and estimator, by metric."""
    key = (line.series.layer, line.series.estimator)
    return {
        one.metric: one
        for one in source.series(line.run_id)
        if one.count and (one.layer, one.estimator) == key
    }


def index(source: Source, run_id: str) -> dict[tuple[str, str], Held]:
    """The same for every layer and estimator of a run, read once."""
    found: dict[tuple[str, str], Held] = {}
    for one in source.series(run_id):
        if one.count:
            found.setdefault((one.layer, one.estimator), {})[one.metric] = one
    return found


def said(
    source: Source, of: Held, name: str, first: int | None = None, last: int | None = None
) -> Law | None:
    """The law of a measure where it is on record, or follows from what is; None without one."""
    if name not in PREDICTED:
        return None
    span = {"first": first, "last": last}
    if PREFIX + name in of:
        points = source.points(of[PREFIX + name].id, **span)
        return Law(points.steps, points.values)
    if not {PREFIX + SPREAD, PREFIX + BIAS} <= of.keys():
        return None
    spread, bias = (source.points(of[PREFIX + one].id, **span) for one in (SPREAD, BIAS))
    steps, here, there = np.intersect1d(spread.steps, bias.steps, return_indices=True)
    v, unbiased = spread.values[here], bias.values[there] == 0
    return Law(steps[unbiased], _unbiased(name, v[unbiased]))


def _unbiased(name: str, v: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return {MSE: v, ERROR: v / (1 + v), SNR: 1 / v}[name]


class Probed(NamedTuple):
    """Of each probe, (n,), without bias but for rounding; all ÷ ‖g‖²."""

    spread: Floats
    """tr Var ĝ."""
    size: Floats
    """‖Eĝ‖²."""


def probed(source: Source, of: Held, steps: NDArray[np.int64], draws: int) -> Probed:
    """What the probes at these steps say of the moments; NaN where one does not tell."""
    spread, bias, snr, cosine = (_at(source, of, name, steps) for name in MOMENTS)
    noise = spread / draws
    with np.errstate(invalid="ignore"):
        # ‖ḡ − g‖² = ‖ḡ‖² − 2⟨ḡ, g⟩ + ‖g‖², and the SNR keeps ‖ḡ‖² unless it lies below its noise.
        kept = snr * spread
        slope = (1 + kept - bias) / 2
        # There r = ‖ḡ‖ / ‖g‖ solves r² − 2 r cos + 1 = ‖ḡ − g‖² / ‖g‖², and r² is below that noise.
        root = np.sqrt(np.maximum(0.0, cosine**2 - 1 + bias + noise))
        length = np.where((cosine + root) ** 2 <= noise * (1 + 1e-6), cosine + root, cosine - root)
        slope = np.where(snr > 0, slope, cosine * length)
        return Probed(spread, bias + 2 * slope - 1)


def _at(source: Source, of: Held, name: str, steps: NDArray[np.int64]) -> Floats:
    found = np.full(len(steps), np.nan)
    if name in of:
        points = source.points(of[name].id)
        _, here, there = np.intersect1d(steps, points.steps, return_indices=True)
        found[here] = points.values[there]
    return found
