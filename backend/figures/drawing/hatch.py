"""Marks over points that compare with an exact gradient that is rounding, and the null band."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.drawing import canvas
from backend.figures.drawing.scales import Scale
from backend.figures.drawing.text import hover_head, hover_mark
from backend.figures.reference import Null
from estimators.statistics.reference import REDRAWS, RULE

NAME = "gradient is rounding"
GREY = "#808080"
BAND, LINE = "null band, 95 % of cosines", "null, 95 % of scaled errors are above it"
"""What a null is."""
NULL_WORDS = {"cosine": f"dotted: {BAND}", "scaled_error": f"dotted: {LINE}"}
"""What the dotted lines are, by measure."""


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


def null_band(x: Sequence[Any], null: Null, scale: Scale, like: Any, name: str) -> list[Any]:
    """The ends of the null as thin dotted lines, hidden and shown with the line `like`."""
    ends = [end for end in (null.high, null.low) if np.isfinite(end).any()]
    if not ends:
        return []
    places, heights, values = [], [], []
    for end in ends:
        gap = [None] if places else []
        places += [*gap, *x]
        heights += [*gap, *canvas.numbers(scale.positions(end))]
        values += [*gap, *canvas.numbers(end)]
    return [
        go.Scatter(
            x=places, y=heights, customdata=values,
            mode="lines" if len(x) > 1 else "markers", name=f"null of {like.name}",
            legendgroup=like.legendgroup, showlegend=False, connectgaps=False, opacity=0.8,
            line={"color": like.line.color, "dash": "dot", "width": 1.5},
            marker={"symbol": "line-ew-open", "size": 14, "color": like.line.color},
            hovertemplate=f"{hover_head(name)}<br>null %{{customdata:.3~g}}<extra></extra>",
            meta={"run": like.meta["run"], "full": f"null of {name}", "role": "null"},
        )
    ]  # fmt: skip


def null_note(nulls: Sequence[Null], what: str) -> str:
    """What the dotted lines or the numbers of these nulls are; "" where none is known."""
    ways = {n.redrawn for n in nulls if np.isfinite(n.low).any()}
    if not ways:
        return ""
    signs, redrawn = "random signs of each unit's part", f"up to {REDRAWS} redraws of the feedback"
    if len(ways) > 1:
        how = f"{redrawn} where there is some, else by {signs}"
    else:
        how = redrawn if ways == {True} else signs
    return f"{what} if noise or feedback had nothing to do with the gradient (by {how})"
