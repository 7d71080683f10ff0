"""Marks at the edge of a plot for values that are not finite or beyond its range."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.source import Floats
from backend.figures.drawing.text import hover_head, hover_mark

BAD = "#D55E00"
AXIS = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
"""The axis of the marks at the edge."""
MARKS = 20
"""Most marks of one line beyond the range."""
_SYMBOLS = {"NaN": "x", "+∞": "triangle-up", "−∞": "triangle-down"}


def not_finite(
    x: Floats, values: Floats, name: str, colour: str, at: str, first: bool = True
) -> list[Any]:
    """Markers where a value is NaN or infinite: below for NaN and −∞."""
    odd = ~np.isfinite(values)
    if not odd.any():
        return []
    words = [_word(v) for v in values[odd].tolist()]
    return [
        _marks(
            x[odd], [0.97 if word == "+∞" else 0.03 for word in words],
            [f"{hover_head(name)}<br>{word}" for word in words], "NaN or infinite", at, first,
            {"symbol": [_SYMBOLS[w] for w in words], "size": 11, "color": colour,
             "line": {"color": BAD, "width": 2}},
        )
    ]  # fmt: skip


def beyond(
    x: Floats, values: Floats, top: float, name: str, colour: str, at: str, first: bool = True
) -> list[Any]:
    """A triangle at the upper edge for each stretch above `top`, saying how far it goes."""
    high = np.isfinite(values) & (values > top)
    if not high.any():
        return []
    starts = np.flatnonzero(high & ~np.concatenate([[False], high[:-1]]))
    peaks = [np.max(part, initial=top, where=np.isfinite(part) & (part > top))
             for part in np.split(values, starts)[1:]]  # fmt: skip
    kept = np.unique(np.linspace(0, len(starts) - 1, min(MARKS, len(starts))).round().astype(int))
    words = [f"{hover_head(name)}<br>above the range, up to {peaks[k]:.4g}" for k in kept]
    marker = {"symbol": "triangle-up", "size": 11, "color": colour}
    where = x[starts[kept]]
    drawn = _marks(where, [0.97] * len(kept), words, "above the range", at, first, marker)
    # A table of the figure's numbers reads these, not the place at the edge.
    return [drawn.update(customdata=[float(peaks[k]) for k in kept])]


def _marks(
    x: Floats,
    y: list[float],
    words: list[str],
    group: str,
    at: str,
    first: bool,
    marker: dict[str, Any],
) -> go.Scatter:
    return go.Scatter(
        x=x.tolist(), y=y, yaxis="y2", mode="markers", name=group, showlegend=first,
        legendgroup=group, text=words, cliponaxis=False, marker=marker,
        hovertemplate=hover_mark(at), meta={"role": group},
    )  # fmt: skip


def _word(value: float) -> str:
    return "NaN" if value != value else "+∞" if value > 0 else "−∞"
