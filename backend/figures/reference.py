"""Which points compare with an exact gradient that is rounding, and the null of the cosine.

Such points are hatched wherever they are drawn, and left out wherever values are pooled: over
probes, seeds and batches.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.figures.data.select import is_microscope
from backend.figures.data.source import Floats, SeriesLike, Source
from estimators.statistics.formatting import counted
from estimators.statistics.reference import (
    OF_THE_REFERENCE,
    RULE,
    SHOWN,
    growth_words,
    is_rounding,
    null_band,
)

NORM, FLOOR, GROWTH = "exact/norm", "reference/floor", "reference/growth"
SWEEP, REDRAWN = "sweep/", "redrawn/"
NULLS = {"cosine": "cosine_null", "scaled_error": "scaled_error_null"}
"""The measures that have a null, and the series of it by the signs of units."""
EXACT_AT, EXACT = {"cosine": 1.0, "scaled_error": 0.0}, 1e-9
"""Their values of an exact estimate, but for rounding."""
Steps = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Null(NamedTuple):
    """What chance gives at each step, (n,); NaN where it is not known, or has no such end."""

    low: Floats
    high: Floats
    redrawn: bool
    """Whether feedback was redrawn; else it is by the signs of units."""


class Reference:
    """The exact gradient of a run, layer by layer and step by step."""

    def __init__(self, source: Source, run_id: str) -> None:
        run = source.run(run_id)
        # Of a sweep, whose steps are values of a field, every value has a gradient of its own.
        sweeps = is_microscope(run) and bool(run.config["microscope"].get("sweep"))
        prefix = SWEEP if sweeps else ""
        self._source, self._at_a_point = source, is_microscope(run) and not sweeps
        self._noun = "value" if sweeps else "probe"
        self._ids = {
            (s.metric.removeprefix(prefix), s.layer): s.id
            for s in source.series(run_id)
            if s.metric in (prefix + NORM, prefix + FLOOR, prefix + GROWTH) and s.count
        }
        self._nulls = {
            (s.metric, s.layer, s.estimator): s.id
            for s in source.series(run_id)
            if s.count and (s.metric.startswith(REDRAWN) or s.metric in NULLS.values())
        }
        self._rounded: dict[str, Steps] = {}

    def rounded(self, series: SeriesLike, steps: Steps) -> Mask:
        """Which points of a series, at these steps, compare with a gradient that is rounding."""
        return self.rounded_at(series.metric, series.layer, steps)

    def rounded_at(self, metric: str, layer: str, steps: Steps) -> Mask:
        """The same for a metric in a layer."""
        if metric.removeprefix(SWEEP) not in OF_THE_REFERENCE:
            return np.zeros(len(steps), np.bool_)
        bad = self._steps(layer)
        return np.full(len(steps), len(bad) > 0) if self._at_a_point else np.isin(steps, bad)

    def rounded_now(self, layer: str) -> bool:
        """Whether the gradient of a layer is rounding at its newest point."""
        if (NORM, layer) not in self._ids:
            return False
        newest = self._source.points(self._ids[NORM, layer], newest=1).steps
        return bool(np.isin(newest, self._steps(layer)).any())

    def kept(self, series: SeriesLike, newest: int) -> Floats:
        """The newest values of a series, without those that compare with rounding."""
        points = self._source.points(series.id, newest=newest)
        return points.values[~self.rounded(series, points.steps)]

    def null(self, metric: str, label: str, layer: str, steps: Steps, values: Floats) -> Null:
        """The null of an estimator's cosine or scaled error at these steps; of no other measure.

        By redrawing feedback where a microscope has done so, else by the signs of units. There is
        none at `values` (n,) of an exact estimate, which has neither noise nor feedback.
        """
        missing = np.full(len(steps), np.nan)
        inexact = np.where(np.abs(values - EXACT_AT.get(metric, np.nan)) <= EXACT, np.nan, 0.0)
        if metric not in NULLS:
            return Null(missing, missing, redrawn=False)
        redrawn = (REDRAWN + metric, layer, label) in self._nulls
        if redrawn:  # of all draws, whatever the step
            name = metric if metric == "scaled_error" else f"{metric}_sd"
            spread = np.full(len(steps), self._newest(REDRAWN + name, layer, label))
        else:
            spread = self._at(NULLS[metric], label, layer, steps)
        if metric == "scaled_error":
            return Null(spread + inexact, missing, redrawn)
        centre = self._newest(REDRAWN + metric, layer, label) if redrawn else 0.0
        ends = np.array([null_band(centre, sd) for sd in spread.tolist()]).reshape(-1, 2)
        return Null(ends[:, 0] + inexact, ends[:, 1] + inexact, redrawn)

    def _newest(self, metric: str, layer: str, label: str) -> float:
        points = self._source.points(self._nulls[metric, layer, label], newest=1)
        return float(points.values[-1])

    def _at(self, metric: str, label: str, layer: str, steps: Steps) -> Floats:
        """A series at these steps; NaN where it has no point."""
        values = np.full(len(steps), np.nan)
        if (metric, layer, label) in self._nulls:
            points = self._source.points(self._nulls[metric, layer, label])
            _, here, there = np.intersect1d(steps, points.steps, return_indices=True)
            values[here] = points.values[there]
        return values

    def words(self, layers: Sequence[str], window: int) -> str:
        """A sentence on the layers whose gradient is rounding at the latest probes; "" if none
        is."""
        rows = []
        for layer in layers:
            if not len(self._steps(layer)):
                continue
            steps = self._source.points(self._ids[NORM, layer], newest=window).steps
            lost = int(np.isin(steps, self._steps(layer)).sum())
            many = "" if self._at_a_point else f" at {lost} of {counted(len(steps), self._noun)}"
            rows += [f"{layer or 'the network'}{many}"] if lost else []
        if not rows:
            return ""
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        return f"{RULE} in {', '.join(rows[:SHOWN])}{more}: hatched, and left out of means"

    def growth(self) -> str:
        """A sentence on the stages whose activations grow too fast at the latest probe."""
        newest = {
            layer: float(self._source.points(series_id, newest=1).values[-1])
            for (metric, layer), series_id in self._ids.items()
            if metric == GROWTH
        }
        return growth_words([*newest], [*newest.values()])

    def _steps(self, layer: str) -> Steps:
        """The steps at which the gradient of a layer is rounding."""
        if layer not in self._rounded:
            self._rounded[layer] = self._read(layer)
        return self._rounded[layer]

    def _read(self, layer: str) -> Steps:
        if (NORM, layer) not in self._ids or (FLOOR, layer) not in self._ids:
            return np.empty(0, np.int64)
        norm, floor = (self._source.points(self._ids[name, layer]) for name in (NORM, FLOOR))
        steps, at_norm, at_floor = np.intersect1d(norm.steps, floor.steps, return_indices=True)
        pairs = zip(norm.values[at_norm].tolist(), floor.values[at_floor].tolist(), strict=True)
        return steps[np.array([is_rounding(*pair) for pair in pairs], np.bool_)]
