"""The laws of a run's measures at each probe, and the moments that a probe measured.

A probe keeps the variance and the squared bias by the law. Where that bias is 0 the other measures
follow from the relative variance V: the relative MSE is V, the scaled error V / (1 + V), the SNR
1 / V.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.figures.data.select import Line
from backend.figures.data.source import Floats, SeriesLike, Source
from estimators.statistics.law_check import LAW
from estimators.statistics.probes import SLOPE, probe_moments

VARIANCE, BIAS, MSE = "relative_variance", "relative_squared_bias", "relative_mse"
ERROR, SNR = "scaled_error", "snr"
PREDICTED = (VARIANCE, BIAS, MSE, ERROR, SNR)
"""The measures that follow from a law."""
MOMENTS = (VARIANCE, BIAS, SNR, "cosine_mean")
"""The measures of a probe from which its moments follow."""


class Law(NamedTuple):
    """The values by the law of one measure, (n,) each."""

    steps: NDArray[np.int64]
    values: Floats


SeriesByMetric = dict[str, SeriesLike]


def series_of(source: Source, line: Line) -> SeriesByMetric:
    """The series of a line's layer and estimator, by metric."""
    key = (line.series.layer, line.series.estimator)
    return {
        series.metric: series
        for series in source.series(line.run_id)
        if series.count and (series.layer, series.estimator) == key
    }


def index(source: Source, run_id: str) -> dict[tuple[str, str], SeriesByMetric]:
    """The same for every layer and estimator of a run, read once."""
    by_layer: dict[tuple[str, str], SeriesByMetric] = {}
    for series in source.series(run_id):
        if series.count:
            by_layer.setdefault((series.layer, series.estimator), {})[series.metric] = series
    return by_layer


def law_of(
    source: Source,
    series: SeriesByMetric,
    name: str,
    first: int | None = None,
    last: int | None = None,
) -> Law | None:
    """The law of a measure where it is on record, or follows from what is; None without one."""
    if name not in PREDICTED:
        return None
    span = {"first": first, "last": last}
    if LAW + name in series:
        points = source.points(series[LAW + name].id, **span)
        return Law(points.steps, points.values)
    if not {LAW + VARIANCE, LAW + BIAS} <= series.keys():
        return None
    spread, bias = (source.points(series[LAW + m].id, **span) for m in (VARIANCE, BIAS))
    steps, here, there = np.intersect1d(spread.steps, bias.steps, return_indices=True)
    v, unbiased = spread.values[here], bias.values[there] == 0
    return Law(steps[unbiased], _unbiased(name, v[unbiased]))


def _unbiased(name: str, v: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return {MSE: v, ERROR: v / (1 + v), SNR: 1 / v}[name]


def squared_slope(source: Source, series: SeriesByMetric, steps: NDArray[np.int64]) -> Floats:
    """⟨Eĝ, g⟩² / ‖g‖⁴ by the probes at these steps, without the noise of the mean; NaN in runs of
    before, which do not keep the slope."""
    slope, error = (_at(source, series, name, steps) for name in (SLOPE, f"{SLOPE}_se"))
    return slope**2 - error**2


class Probed(NamedTuple):
    """Unbiased moments of one draw, by each probe, (n,); relative to ‖g‖²."""

    spread: Floats
    """tr Var ĝ."""
    size: Floats
    """‖Eĝ‖²."""


def probed(source: Source, series: SeriesByMetric, steps: NDArray[np.int64], draws: int) -> Probed:
    """The moments by the probes at these steps; NaN where one does not determine them."""
    columns = [_at(source, series, name, steps) for name in MOMENTS]
    if SLOPE in series:
        slope, bias = _at(source, series, SLOPE, steps), columns[1]
        return Probed(columns[0], bias + 2 * slope - 1)  # ‖Eĝ − g‖² = ‖Eĝ‖² − 2⟨Eĝ, g⟩ + ‖g‖²
    rows = zip(*(column.tolist() for column in columns), strict=True)
    sizes = [probe_moments(v, b, snr, cos, draws).size for v, b, snr, cos in rows]
    return Probed(columns[0], np.array(sizes, np.float64))


def _at(source: Source, series: SeriesByMetric, name: str, steps: NDArray[np.int64]) -> Floats:
    values = np.full(len(steps), np.nan)
    if name in series:
        points = source.points(series[name].id)
        _, here, there = np.intersect1d(steps, points.steps, return_indices=True)
        values[here] = points.values[there]
    return values
