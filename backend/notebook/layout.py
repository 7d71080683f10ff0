"""A figure as a notebook shows it: on white, with what the page says beside it in its title."""

import textwrap
from typing import Any

import plotly.graph_objects as go

from backend.figures import note_text
from backend.figures.drawing.text import plain

INK, GRID = "#1b1f24", "#e1e4e8"
LINE = 150
"""Characters of a line of a note."""


def on_white(figure: go.Figure, note: str | None = None) -> go.Figure:
    """The same traces on white, with the note below the title, whatever theme a notebook has.

    Without a `note` it is the one that the figure carries in its `layout.meta`.
    """
    layout: Any = figure.layout
    if note is None:
        note = note_text(layout.meta) if layout.meta else ""
    wrapped = textwrap.wrap(note, LINE)
    lines = [line for line in (layout.title.subtitle.text, *map(plain, wrapped)) if line]
    room = 16 * len(wrapped)
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
