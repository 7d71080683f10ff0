"""A thin vertical line where a run's driver was switched, with the new driver's label."""

from typing import Any

import numpy as np

from backend.figures.data import progress
from backend.figures.data.query import Query
from backend.figures.data.source import Source
from backend.figures.drawing.text import clipped, plain

GREY = "#808080"
LABEL = 32
"""Most characters of all labels of a run together: they share the line above the plot."""


def shapes(source: Source, query: Query, runs: tuple[str, ...]) -> list[dict[str, Any]]:
    """Shapes, not traces: the legend and the table of numbers stay as they are."""
    return [
        shape for run_id in runs for shape in _of_run(source, query, run_id, several=len(runs) > 1)
    ]


def _of_run(source: Source, query: Query, run_id: str, *, several: bool) -> list[dict[str, Any]]:
    run = source.run(run_id)
    drives: list[tuple[int, str]] = [*(run.facts.get("drives") or [])]
    switches = [
        drive for drive in drives[1:] if within(drive[0], query)
    ]  # the first drove from the start
    if not switches:
        return []
    steps = np.array([step for step, _ in switches], np.int64)
    at = progress.positions(source, run_id, run, steps, query.x).tolist()
    whose = f" (#{run.number})" if several else ""
    longest = max(10, LABEL // len(switches))
    return [
        _line(x, f"driver: {plain(clipped(label, longest))}{whose}")
        for x, (_, label) in zip(at, switches, strict=True)
    ]


def within(step: int, query: Query) -> bool:
    """Whether a step is among those that the query names."""
    return (query.first is None or step >= query.first) and (
        query.last is None or step <= query.last
    )


def _line(x: float, words: str) -> dict[str, Any]:
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1,
        "line": {"color": GREY, "width": 1, "dash": "dash"},
        # Above the plot, where no curve is, and to the left: a new switch is at the right end.
        "label": {"text": words, "textposition": "end", "textangle": 0, "xanchor": "right",
                  "yanchor": "bottom", "padding": 2, "font": {"size": 10, "color": GREY}},
    }  # fmt: skip
