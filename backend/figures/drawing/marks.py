"""A table of symbols, layers by estimators; colour, symbol and words are redundant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.drawing import canvas
from backend.figures.drawing.text import clipped, hover_head, plain

NETWORK = "whole network"
WORDY = 30
"""Most rows whose marks have words below them: beside them, a phone has no room."""
TICKS = 70
"""Most rows that are named on the axis."""


@dataclass(frozen=True)
class Kind:
    """A kind of mark: its words, its symbol and its colour."""

    name: str
    symbol: str
    colour: str


@dataclass(frozen=True)
class Mark:
    """One cell."""

    layer: str
    column: str
    kind: str
    words: str
    """Below the symbol."""
    hover_text: str
    """To the pointer."""


def traces(kinds: Mapping[str, Kind], marks: Sequence[Mark]) -> list[go.Scatter]:
    """One trace a kind, so that the legend explains the symbols."""
    rows, columns = len({mark.layer for mark in marks}), len({mark.column for mark in marks})
    return [
        _trace(kind, of_kind, rows, columns)
        for key, kind in kinds.items()
        if (of_kind := [mark for mark in marks if mark.kind == key])
    ]


def _trace(kind: Kind, marks: Sequence[Mark], rows: int, columns: int) -> go.Scatter:
    wordy = rows <= WORDY
    return go.Scatter(
        x=[mark.column for mark in marks], y=[row_name(mark.layer) for mark in marks],
        name=kind.name,
        mode="markers+text" if wordy else "markers", text=[mark.words for mark in marks],
        textposition="bottom center", textfont={"size": 10 if columns <= 3 else 9},
        customdata=[mark.hover_text for mark in marks], cliponaxis=False,
        marker={"symbol": kind.symbol, "size": 10 if wordy else 7, "color": kind.colour,
                "line": {"width": 2 if wordy else 1.5, "color": kind.colour}},
        hovertemplate=f"{hover_head('%{y}')}<br>%{{customdata}}<extra></extra>",
    )  # fmt: skip


def layout(layers: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    """Rows from the top, columns named above them."""
    rows = max(2, len(layers))
    names = [row_name(name) for name in layers]
    shown = names[:: max(1, -(-len(names) // TICKS))]
    pitch = 34.0 if rows <= WORDY else float(np.clip(1700 / rows, 8, 16))
    return {
        "height": int(240 + pitch * rows),
        "xaxis": canvas.axis(
            "", side="top", type="category", categoryorder="array", categoryarray=list(columns),
            tickmode="array", tickvals=list(columns),
            ticktext=[plain(clipped(name, 25)) for name in columns],
            autotickangles=[0, -90], range=[-0.6, len(columns) - 0.4], showgrid=False,
            tickfont={"size": 11},
        ),
        "yaxis": canvas.axis(
            "", type="category", categoryorder="array", categoryarray=names, tickmode="array",
            tickvals=shown, ticktext=[clipped(name, 26) for name in shown],
            range=[rows - 0.2, -0.6], tickfont={"size": 11 if rows <= WORDY else 9},
        ),
    }  # fmt: skip


def row_name(layer: str) -> str:
    """The name of a layer's row."""
    return plain(layer) or NETWORK
