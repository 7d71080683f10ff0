"""A figure as a notebook shows it: on white, with what the page says beside it in its title."""

import textwrap
from typing import Any

import plotly.graph_objects as go

from backend.figures.drawing.text import plain

INK, GRID = "#1b1f24", "#e1e4e8"
LINE = 150
"""Characters of a line of a note."""


def dressed(figure: go.Figure) -> go.Figure:
    """The same traces; nothing of the note is lost, and no theme of a notebook hides an axis."""
    layout: Any = figure.layout
    note = textwrap.wrap((layout.meta or {}).get("note", ""), LINE)
    lines = [line for line in (layout.title.subtitle.text, *map(plain, note)) if line]
    room = 16 * len(note)
    figure.update_layout(
        title_subtitle_text="<br>".join(lines),
        margin_t=(layout.margin.t or 60) + room,
        height=(layout.height or 360) + room,
        paper_bgcolor="white",
        plot_bgcolor="white",
        font_color=INK,
    )
    figure.update_xaxes(gridcolor=GRID, linecolor=GRID)
    figure.update_yaxes(gridcolor=GRID, linecolor=GRID)
    return figure
