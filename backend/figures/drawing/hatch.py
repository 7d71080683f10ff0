"""Marks over points that compare with an exact gradient that is rounding, and the null band."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.source import Floats
from backend.figures.drawing import canvas
from backend.figures.drawing.scales import Scale
from backend.figures.drawing.text import hover_head, hover_mark
from estimators.statistics.reference import RULE

NAME = "gradient is rounding"
GREY = "#808080"
NULL_NOTE = (
    "dotted: null band, 95 % of cosines where noise or feedback has nothing to do with the gradient"
)


def marks(
    x: Sequence[Any], y: Sequence[Any], name: str, at: str = "", *, first: bool = True, **axes: Any
) -> list[Any]:
    """A hatch over each of these points; nothing without any.

    `at` is the query's `x`; "" where the horizontal axis has names.
    """
    if not len(x):
        return []
    return [
        go.Scatter(
            x=list(x), y=list(y), mode="markers", name=NAME, legendgroup=NAME, showlegend=first,
            text=[f"{hover_head(name)}<br>{RULE}: no meaning, and in no mean"] * len(x),
            marker={"symbol": "hash-open", "size": 13, "color": GREY, "line": {"width": 1.5}},
            hovertemplate=hover_mark(at) if at else "%{text}<extra></extra>",
            meta={"role": NAME}, **axes,
        )
    ]  # fmt: skip


def null_band(x: Sequence[Any], ends: Floats, scale: Scale, like: Any, name: str) -> list[Any]:
    """Both ends of the null band as thin dotted lines, hidden and shown with the line `like`."""
    if not np.isfinite(ends).any():
        return []
    high, low = (canvas.numbers(scale.positions(end)) for end in (ends, -ends))
    above, below = (canvas.numbers(end) for end in (ends, -ends))
    return [
        go.Scatter(
            x=[*x, None, *x], y=[*high, None, *low], customdata=[*above, None, *below],
            mode="lines", name=f"null of {like.name}", legendgroup=like.legendgroup,
            showlegend=False, connectgaps=False, opacity=0.8,
            line={"color": like.line.color, "dash": "dot", "width": 1.2},
            hovertemplate=f"{hover_head(name)}<br>null band %{{customdata:.3~g}}<extra></extra>",
            meta={"run": like.meta["run"], "full": f"null of {name}", "role": "null"},
        )
    ]  # fmt: skip
