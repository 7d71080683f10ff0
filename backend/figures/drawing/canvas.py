"""Layout shared by all figures, and the traces that they are made of.

No colour of the theme is set: backgrounds are transparent, and the page (or the export) decides
on font and grid, so that a figure reads on light and on dark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from backend.figures.data.source import Floats
from backend.figures.data.tally import Tally
from backend.figures.drawing.scales import Scale
from backend.figures.drawing.text import clipped, plain

__all__ = ["CLEAR", "Tally", "axis", "evenly", "few", "finish", "layer_axis", "numbers"]

CLEAR = "rgba(0,0,0,0)"


def finish(
    traces: Sequence[Any],
    tally: Tally,
    *,
    title: str,
    below: Sequence[str] = (),
    height: int = 360,
    meta: Mapping[str, Any] | None = None,
    nothing: str = "no points yet",
    **layout: Any,
) -> go.Figure:
    """A figure in the common layout, with lines `below` its title, or `nothing` without points.

    `meta` holds named numbers that other parts of the page read from the answer.
    """
    figure = go.Figure(data=list(traces), layout=_layout(title, below, height))
    figure.update_layout(layout)
    if not tally.count:
        middle = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False}
        figure.add_annotation(text=nothing, **middle)
        figure.update_xaxes(showticklabels=False)
        figure.update_yaxes(showticklabels=False)
    figure.update_layout(meta={**tally.parts(), "meta": dict(meta or {})})
    return figure


def _layout(title: str, below: Sequence[str], height: int) -> dict[str, Any]:
    return {
        "template": go.layout.Template(),
        "title": {
            "text": title, "x": 0, "xref": "container", "xanchor": "left",
            "y": 1, "yref": "container", "yanchor": "top", "pad": {"l": 12, "t": 12},
            "font": {"size": 15}, "subtitle": {"text": "<br>".join(below), "font": {"size": 11}},
        },
        "height": height,
        "autosize": True,
        "margin": {"l": 60, "r": 16, "t": 44 + 16 * len(below), "b": 48},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "hoverlabel": {"align": "left"},
        "hovermode": "closest",
        "showlegend": True,
        # At the bottom of the whole figure: beside the plot it would leave a phone no room.
        "legend": {
            "orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom",
            "x": 0, "xanchor": "left", "bgcolor": CLEAR, "traceorder": "normal",
        },
        "uirevision": "kept",
    }  # fmt: skip


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with its title; long titles get their room."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 11}},
        "automargin": True,
        "zeroline": False,
        **more,
    }


def few(scale: Scale) -> dict[str, Any]:
    """A horizontal axis of values, with few enough ticks for a phone."""
    ticks = scale.axis(2, min_gap=0.15)
    return {**ticks, "nticks": 4} if "tickvals" not in ticks and "dtick" not in ticks else ticks


def numbers(values: Floats) -> list[float | None]:
    """A list for JSON, in which values that are not finite are None, a gap."""
    return [v if ok else None for v, ok in zip(values.tolist(), np.isfinite(values), strict=True)]


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Indices of at most `most` of `count` points, evenly spaced, with both ends."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(most, count)).round().astype(np.int64))


def layer_axis(names: Sequence[str]) -> dict[str, Any]:
    """Layers from the left, in the order of the network; of many, some are named."""
    shown = names[:: max(1, -(-len(names) // 24))]
    return {
        "type": "category", "categoryorder": "array", "categoryarray": [plain(n) for n in names],
        "tickmode": "array", "tickvals": [plain(name) for name in shown],
        "ticktext": [plain(clipped(name, 24)) for name in shown], "autotickangles": [0, -30, -90],
    }  # fmt: skip
