"""Slopes of a sweep's curves, measured and predicted, and guides with the slope by theory."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import slope
from backend.figures.data.microscope import sweep
from backend.figures.data.microscope.sweep import Curve
from backend.figures.data.query import Query
from backend.figures.data.select import described
from backend.figures.data.source import Floats
from backend.figures.drawing import canvas, style
from backend.figures.drawing.scales import Scale
from backend.figures.drawing.text import clipped, plain

FLAT = 0.1
"""Smallest range of log y for which a scaled error has a slope: near 1 it is no power law."""


def slopes(
    bare: str, curves: Sequence[Curve], scale: Scale, tally: canvas.Tally, query: Query
) -> list[go.Scatter]:
    """Note the slopes, measured and predicted; theory without a law is drawn as a guide."""
    laws = {curve.key: curve for curve in curves if curve.law}
    sentences, guides, flat = [], [], []
    for curve in curves:
        if curve.law:
            continue
        x, y, law = np.array(curve.x, np.float64), curve.y, laws.get(curve.key)
        theory = _expected(curve, bare) if query.against == "field" else None
        y = np.where(curve.hatched, np.nan, y)
        if theory == slope.SECOND_ORDER:
            y = np.where(y < slope.SMALL, y, np.nan)
        fitted = slope.fitted(x, y, curve.errors)
        by_law = (
            slope.of_law(x, y, sweep.law_at_points(curve, law), curve.errors, fitted)
            if law and fitted
            else None
        )
        if theory is not None and not (law and (law.y > 0).any()):
            guides += _guide(curve, y, theory, scale)
        if fitted is None or not np.ptp(y[fitted.clear]):
            continue  # exact, where all are the same
        if bare == "scaled_error" and np.ptp(np.log(y[fitted.clear])) < FLAT:
            flat.append(clipped(curve.line.label))
            continue
        sentences.append(slope.words(clipped(curve.line.label), fitted, by_law, theory, len(x)))
    tally.say(slope.listed(sentences))
    if flat:
        tally.say(f"flat, so no slope is fitted: {', '.join(flat)}")
    if guides:
        tally.say(f"dotted: the slope by theory, {guides[0].meta['power']}")
    return guides


def _expected(curve: Curve, bare: str) -> int | None:
    run = curve.line.run
    component = described(run).get(curve.line.label)
    if component is None:
        return None
    return slope.expected(component, run.config.get("network", {}), sweep.field(curve.line), bare)


def _guide(curve: Curve, y: Floats, power: int, scale: Scale) -> list[go.Scatter]:
    """A line of that slope through the points clear of zero; none without such a point."""
    clear = slope.clear(y, curve.errors)
    if not clear.any():
        return []
    x = np.array(curve.x, np.float64)
    middle, height = np.log(x[clear]).mean(), np.log(y[clear]).mean()
    ends = x[clear] if clear.sum() > 1 else x[clear.argmax() :]
    along = np.geomspace(ends.min(), ends.max(), 32)
    guide = np.exp(height + power * (np.log(along) - middle))
    name = plain(clipped(curve.line.label))
    small = " as the step tends to 0" if power == slope.SECOND_ORDER else ""
    return [
        go.Scatter(
            x=along.tolist(), y=canvas.numbers(scale.positions(guide)),
            mode="lines", hoverinfo="skip",
            name=f"{name}, slope by theory", legendgroup=curve.line.group, showlegend=False,
            line={"color": style.colour(curve.line.label), "width": 1.5, "dash": "dot"},
            meta={"run": curve.line.run_id, "power": f"{power:d}{small}".replace("-", "−")},
        )
    ]  # fmt: skip
