"""Bars of one standard error, where a metric has one on record.

They are not confidence intervals: from some ten heavy-tailed draws no interval covers as it should.
The note says so.
"""

from typing import Any

import numpy as np

from backend.figures.data.select import Line
from backend.figures.data.source import Floats, PointsLike, Source
from backend.figures.drawing.scales import Scale

SUFFIX = "_se"
NOTE = "bars: ± 1 standard error of that probe's estimate, not a confidence interval"


def standard_errors(source: Source, line: Line, shown: PointsLike) -> Floats | None:
    """The standard error at each shown step, (n,), NaN where there is none; None without any."""
    key = (line.series.metric + SUFFIX, line.series.layer, line.series.estimator)
    ids = [s.id for s in source.series(line.run_id) if (s.metric, s.layer, s.estimator) == key]
    if not ids or not len(shown.steps):
        return None
    points = source.points(ids[0], first=int(shown.steps[0]), last=int(shown.steps[-1]))
    errors = np.full(len(shown.steps), np.nan)
    _, here, there = np.intersect1d(shown.steps, points.steps, return_indices=True)
    errors[here] = points.values[there]
    return errors if np.isfinite(errors).any() else None


def bars(values: Floats, errors: Floats, scale: Scale) -> dict[str, Any]:
    """Plotly's error bars of ± 1 standard error, on the scale that the values are drawn on."""
    safe = np.nan_to_num(errors)
    middle = scale.positions(values)
    return {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(scale.positions(values + safe) - middle).tolist(),
        "arrayminus": np.nan_to_num(middle - scale.positions(values - safe)).tolist(),
        "thickness": 1,
        "width": 0,
    }
