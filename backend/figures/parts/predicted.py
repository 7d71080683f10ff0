"""What is predicted of a sweep's curves: slopes beside those that were measured, and guides."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from backend.figures.parts import canvas, slope, style, sweep
from backend.figures.parts.query import Query
from backend.figures.parts.scales import Scale
from backend.figures.parts.select import estimators
from backend.figures.parts.slope import Slope
from backend.figures.parts.source import Floats
from backend.figures.parts.sweep import Curve
from backend.figures.parts.text import clipped, plain

FLAT = 0.1
"""Least range of log y for which a share has a slope: near 1 it is no power law."""


def slopes(
    bare: str, curves: Sequence[Curve], scale: Scale, tally: canvas.Tally, query: Query
) -> list[go.Scatter]:
    """Say the slopes, measured and predicted; a prediction without a law is drawn as a guide."""
    laws = {one.key: one for one in curves if one.law}
    told, guides, flat = [], [], []
    for one in curves:
        x = np.array(one.x, np.float64)
        found = None if one.law else slope.fitted(x, one.y, one.errors)
        if found is None:
            continue
        if bare == "scaled_error" and np.ptp(np.log(one.y[found.clear])) < FLAT:
            flat.append(clipped(one.line.label))
            continue
        law, theory = laws.get(one.key), None
        known = _law_slope(one, law, found) if law else None
        if known is None and query.against == "field":
            theory = _expected(one, bare)
        if theory is not None:
            guides.append(_guide(one, found, theory, scale))
        told.append(slope.words(clipped(one.line.label), found, known, theory, len(x)))
    tally.say(slope.listed(told))
    if flat:
        tally.say(f"flat, no slope to speak of: {', '.join(flat)}")
    if guides:
        tally.say("dotted: the slope that theory gives, through the points")
    return guides


def beside(one: Curve, law: Curve) -> Floats:
    """The law at the points of its measure, NaN where it says nothing."""
    held = dict(zip(law.x, law.y.tolist(), strict=True))
    return np.array([held.get(x, np.nan) for x in one.x], np.float64)


def _law_slope(one: Curve, law: Curve, found: Slope) -> float | None:
    x = np.array(one.x, np.float64)
    return slope.of_law(x, one.y, beside(one, law), one.errors, found)


def _expected(one: Curve, bare: str) -> int | None:
    config = one.line.run.config
    labels, described = estimators(one.line.run), [config.get("estimator")]
    described += config.get("shadows", ())
    if one.line.label not in labels[: len(described)]:
        return None
    component = described[labels.index(one.line.label)] or {}
    return slope.expected(component, config.get("network", {}), sweep.field(one.line), bare)


def _guide(one: Curve, found: Slope, power: int, scale: Scale) -> go.Scatter:
    x, y = np.array(one.x, np.float64)[found.clear], one.y[found.clear]
    middle, height = np.log(x).mean(), np.log(y).mean()
    along = np.geomspace(x.min(), x.max(), 32)
    guide = np.exp(height + power * (np.log(along) - middle))
    name = plain(clipped(one.line.label))
    return go.Scatter(
        x=along.tolist(), y=canvas.numbers(scale.of(guide)), mode="lines", hoverinfo="skip",
        name=f"{name}, slope by theory", legendgroup=name, showlegend=False,
        line={"color": style.colour(one.line.label), "width": 1.5, "dash": "dot"},
        meta={"run": one.line.run_id},
    )  # fmt: skip
