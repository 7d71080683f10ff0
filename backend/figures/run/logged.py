"""The scalars that a training loop of the user's own has logged, a panel for each."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from backend.figures.data import progress, window
from backend.figures.data.metrics import LOGGED, metric
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, Line
from backend.figures.data.source import Source
from backend.figures.drawing import canvas, panels, style
from backend.figures.drawing.names import numbered
from backend.figures.drawing.text import clipped, full_name, hover_point, plain, run_name
from backend.figures.info import Chart, FigureInfo, Place

MOST = 12
"""Panels of one figure."""
PANEL = 120
"""Height of one, in pixels."""
INFO = FigureInfo(
    title="Logged by the script",
    help="The scalars that training loops of your own logged with lab.log, under their names: a "
    "panel for each name, a line for each run, and no line is smoothed.",
    reading="What is logged as loss or accuracy stands in the charts of the lab's own runs.",
    parameters=("runs", "x", "max", "first", "last", "left", "right"),
    charts=(
        Chart("logged", (Place("run", "training", 90),), follows=(f"{LOGGED}*",), with_points=True),
    ),
)


def figure(source: Source, query: Query) -> go.Figure:
    """Draw every `log/<name>` of the runs, as many as have room."""
    logged = _lines(source, query)
    names = list(dict.fromkeys(line.series.metric for line in logged))
    kept = names[:MOST]
    shown = [line for line in logged if line.series.metric in kept]
    tally = canvas.Tally(zoomed=window.is_zoomed(query))
    if len(kept) < len(names):
        tally.say(f"{MOST} of {len(names)} scalars; an export has all")
    if len(shown) > TRACES:
        tally.say(f"{TRACES} of {len(shown)} lines: choose fewer runs")
    places = {name: at for at, name in enumerate(kept)}
    traces = [_trace(source, query, line, places, tally) for line in shown[:TRACES]]
    headings = [plain(clipped(metric(name).title)) for name in kept]
    across = canvas.axis(progress.TITLES[query.x])
    return canvas.finish(
        traces,
        tally,
        title=INFO.title,
        height=panels.height(len(headings), PANEL),
        **panels.layout(headings, PANEL, across, [canvas.axis("")] * len(headings)),
    )


def _lines(source: Source, query: Query) -> list[Line]:
    return [
        Line(run_id, run, place, series)
        for place, run_id in enumerate(query.runs)
        for run in [source.run(run_id)]
        for series in source.series(run_id)
        if series.metric.startswith(LOGGED)
    ]


def _trace(
    source: Source, query: Query, line: Line, places: Mapping[str, int], tally: canvas.Tally
) -> go.Scatter:
    points = window.read(source, line.run_id, line.series.id, query)
    tally.add_window(points)
    x = progress.positions(source, line.run_id, line.run, points.steps, query.x)
    words, run = metric(line.series.metric), numbered(line.run.number, line.run.name)
    name = plain(clipped(words.title))
    if len(query.runs) > 1:
        name += f" · {run_name(line.run.number, line.run.name)}"
    whole = full_name(words.title, run)
    meta: dict[str, Any] = {"run": line.run_id, "x": query.x, "full": whole}
    if query.x == "step":
        meta |= {"series": line.series.id, "positive": False}
    return go.Scatter(
        x=x.tolist(),
        y=canvas.numbers(points.values),
        name=name,
        mode="lines",
        line={
            "color": style.run_colour(line.run_index),
            "dash": style.run_dash(line.run_index),
            "width": 1.5,
        },
        legendgroup=line.group,
        hovertemplate=hover_point(whole, query.x, words, "y"),
        meta=meta,
        **panels.axes(places[line.series.metric]),
    )
