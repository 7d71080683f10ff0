"""Marks on the horizontal axis for what happened to a run: deaths, new attempts, changes."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import progress
from backend.figures.data.query import Query
from backend.figures.data.source import EventLike, Source
from backend.figures.drawing.names import numbered
from backend.figures.drawing.switches import within
from backend.figures.drawing.text import clipped, hover_head, hover_mark, plain, without_paths

NAME = "what happened to the run"
LONGEST = 160
"""Most characters of what a mark says of one event."""
_SYMBOLS = {
    "death": "x", "attempt": "triangle-right", "change": "diamond", "rise": "triangle-ne",
    "spike": "triangle-up", "plateau": "square", "dead layer": "x-open",
}  # fmt: skip
"""The marks of kinds of events; of several events at a step, the first of these."""


def marks(
    source: Source,
    query: Query,
    runs: Sequence[str],
    signals: Mapping[str, Sequence[EventLike]] = MappingProxyType({}),
) -> list[go.Scatter]:
    """A trace of marks at the lower edge, on the axis of the edge; none where nothing happened.

    Events of one step share a mark, which says each with its reason. `signals` are what the drawn
    curves of each run do, marked in the same way.
    """
    events = source.marked_events(runs)
    made = [
        mark
        for run_id in runs
        for mark in _of_run(
            source, query, run_id, [*events.get(run_id, ()), *signals.get(run_id, ())]
        )
    ]
    if not made:
        return []
    return [
        go.Scatter(
            x=[mark["x"] for mark in made], y=[0.0] * len(made), yaxis="y2", mode="markers",
            name=NAME, legendgroup=NAME, text=[mark["text"] for mark in made], cliponaxis=False,
            marker={"symbol": [mark["symbol"] for mark in made], "size": 10, "color": "#808080",
                    "line": {"width": 1, "color": "#FFFFFF"}},
            hovertemplate=hover_mark(query.x), meta={"role": NAME},
        )
    ]  # fmt: skip


def _of_run(
    source: Source, query: Query, run_id: str, events: Sequence[EventLike]
) -> list[dict[str, Any]]:
    by_step: dict[int, list[EventLike]] = {}
    for event in events:
        if event.step is not None and within(event.step, query):
            by_step.setdefault(event.step, []).append(event)
    if not by_step:
        return []
    run, steps = source.run(run_id), sorted(by_step)
    head = hover_head(plain(numbered(run.number, run.name)))
    at = progress.positions(source, run_id, run, np.array(steps, np.int64), query.x).tolist()
    return [
        {"x": x, "text": "<br>".join([head, *map(_words, by_step[step])]),
         "symbol": _symbol(by_step[step])}
        for x, step in zip(at, steps, strict=True)
    ]  # fmt: skip


def _words(event: EventLike) -> str:
    first = (event.text.strip().splitlines() or [""])[0]
    return plain(clipped(f"{event.kind}: {without_paths(first)}", LONGEST))


def _symbol(events: Sequence[EventLike]) -> str:
    kinds = {event.kind for event in events}
    return next((symbol for kind, symbol in _SYMBOLS.items() if kind in kinds), "circle")
