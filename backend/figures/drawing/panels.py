"""Panels one below the other, each with a heading, for instance one for each estimator."""

from collections.abc import Sequence
from typing import Any

from backend.figures.drawing import canvas

HEAD = 44
"""Pixels of a panel's heading, of two lines."""
FOOT = 70
"""Pixels below the last panel: its axis and the legend."""
TOP = 44


def height(count: int, panel: int, room: int = 0) -> int:
    """The height of a figure of so many panels, in pixels."""
    return TOP + FOOT + max(1, count) * (panel + HEAD + room)


def axes(at: int) -> dict[str, str]:
    """The names of a panel's axes, for its traces."""
    return {"xaxis": f"x{at + 1 if at else ''}", "yaxis": f"y{at + 1 if at else ''}"}


def layout(
    headings: Sequence[str],
    panel: int,
    across: dict[str, Any],
    up: Sequence[dict[str, Any]],
    room: int = 0,
) -> dict[str, Any]:
    """All panels' axes; the last one shows the words of `across`.

    It is one axis for all, unless each has `room` for ticks of its own below it.
    """
    count = max(1, len(headings))
    whole = count * (panel + HEAD + room)
    made: dict[str, Any] = {"annotations": []}
    for at in range(count):
        suffix = at + 1 if at else ""
        top = 1 - (at * (panel + HEAD + room) + HEAD) / whole
        last = at == count - 1
        x = {**across, "anchor": f"y{suffix}", "showticklabels": last or room > 0}
        if not last:
            x["title"] = {"text": ""}
        if at and not room:
            x["matches"] = "x"
        made[f"xaxis{suffix}"] = x
        y = up[at] if at < len(up) else canvas.axis("")
        made[f"yaxis{suffix}"] = {
            **y,
            "anchor": f"x{suffix}",
            "domain": [max(0.0, top - panel / whole), top],
        }
        if at < len(headings):
            made["annotations"].append(_heading(headings[at], top))
    return made


def _heading(text: str, y: float) -> dict[str, Any]:
    return {
        "text": text, "x": 0, "xref": "paper", "xanchor": "left", "y": y, "yref": "paper",
        "yanchor": "bottom", "showarrow": False, "font": {"size": 12}, "align": "left",
    }  # fmt: skip
