"""Standard errors of measures: those on record, those from the single draws, and their bars.

A bar of one standard error is no confidence interval: from some ten heavy-tailed draws no interval
covers as it should. The note says so.
"""

from typing import Any

import numpy as np

from backend.figures.data.select import Line
from backend.figures.data.source import Floats, PointsLike, Source
from backend.figures.drawing.scales import Scale
from estimators.statistics.direction import ORTHOGONAL
from estimators.statistics.student import Sample

SUFFIX = "_se"
NOTE = "bars: ± 1 standard error of that probe's estimate, not a confidence interval"
MIN_DRAWS = 8
"""Fewest draws of a standard error."""


def on_record(source: Source, line: Line, shown: PointsLike) -> Floats | None:
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


def from_draws(source: Source, line: Line) -> float | None:
    """The standard error of a line's newest point; None where the draws do not determine it.

    That of a mean is sd / √n. The scaled error 1 − a² / q, a and q the means of ⟨ĝ, g⟩ / ‖g‖² and
    ‖ĝ‖² / ‖g‖², is taken to first order in both (the delta method).
    """
    columns = {
        s.metric.removeprefix("draw/"): source.points(s.id).values
        for s in source.series(line.run_id)
        if s.metric in ("draw/cosine", "draw/norm_ratio", "draw/along")
        and (s.layer, s.estimator) == (line.series.layer, line.series.estimator)
    }
    if len(columns) < 3 or len({len(values) for values in columns.values()}) > 1:
        return None
    good = np.all([np.isfinite(values) for values in columns.values()], axis=0)
    if good.sum() < MIN_DRAWS:
        return None
    kept = {name: values[good] for name, values in columns.items()}
    terms = _terms(line.series.metric, kept["cosine"], kept["norm_ratio"], kept["along"])
    return None if terms is None else Sample.from_values(terms).standard_error


def _terms(name: str, cosine: Floats, norm: Floats, along: Floats) -> Floats | None:
    """What each draw adds to a measure, to first order about the means."""
    square = norm**2
    if name == "scaled_error":
        a, q = along.mean(), square.mean()
        return (a / q) ** 2 * square - 2 * a / q * along if q > 0 else None
    of_means = {
        "cosine": cosine,
        "norm_ratio": norm,
        "positive": (cosine > ORTHOGONAL).astype(float),
        "relative_mse": square - 2 * along + 1,
    }
    return of_means.get(name)
