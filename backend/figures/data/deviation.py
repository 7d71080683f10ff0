"""Standard errors of measures from the single draws, for runs without one on record."""

import numpy as np

from backend.figures.data.select import Line
from backend.figures.data.source import Floats, Source
from estimators.statistics.student import Sample

MIN_DRAWS = 8
"""Fewest draws of a standard error."""


def standard_error(source: Source, line: Line) -> float | None:
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
    return None if terms is None else Sample.of(terms).standard_error


def _terms(name: str, cosine: Floats, norm: Floats, along: Floats) -> Floats | None:
    """What each draw adds to a measure, to first order about the means."""
    square = norm**2
    if name == "scaled_error":
        a, q = along.mean(), square.mean()
        return (a / q) ** 2 * square - 2 * a / q * along if q > 0 else None
    of_means = {
        "cosine": cosine,
        "norm_ratio": norm,
        "positive": (cosine > 0).astype(float),
        "relative_mse": square - 2 * along + 1,
    }
    return of_means.get(name)
