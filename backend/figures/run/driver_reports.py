"""What a run's driver reports of itself: feedback angles, local losses, norms before clipping."""

from typing import Any

import plotly.graph_objects as go

from backend.figures.data import progress, window
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, Line
from backend.figures.data.source import Source
from backend.figures.drawing import canvas, style
from backend.figures.drawing.names import numbered
from backend.figures.drawing.text import clipped, full_name, hover_point, plain, run_name
from backend.figures.info import Chart, FigureInfo, Place

PREFIX = "estimator/"
INFO = FigureInfo(
    title="Reported by the driver",
    help="What the driving estimator reports of itself (angles of its feedback, losses of its "
    "blocks, norms before clipping): a panel for each quantity, a line for each layer.",
    takeaway="Use it to check the method at work: whether feedback aligns, or local losses fall.",
    parameters=("runs", "x", "max", "first", "last", "left", "right"),
    charts=(
        Chart(
            "driver-reports",
            (Place("run", "measures", 90),),
            follows=(f"{PREFIX}*",),
            with_points=True,
        ),
    ),
)
PANELS = 6
PANEL = 190
"""Height of one, in pixels."""


def figure(source: Source, query: Query) -> go.Figure:
    """Draw every `estimator/<key>` of the runs, the first six keys."""
    reported = _lines(source, query)
    keys = list(dict.fromkeys(line.series.metric for line in reported))
    shown = [line for line in reported if line.series.metric in keys[:PANELS]]
    tally = canvas.Tally(zoomed=window.is_zoomed(query))
    if len(keys) > PANELS:
        tally.say(f"{PANELS} of {len(keys)} quantities")
    if len(shown) > TRACES:
        tally.say(f"{TRACES} of {len(shown)} lines: choose fewer runs")
    names = list(dict.fromkeys(line.series.layer for line in shown))
    traces = [
        _trace(source, query, line, keys.index(line.series.metric), names, tally)
        for line in shown[:TRACES]
    ]
    return canvas.finish(
        traces,
        tally,
        title=INFO.title,
        height=90 + PANEL * max(1, min(PANELS, len(keys))),
        **_axes([metric(key).title for key in keys[:PANELS]], progress.TITLES[query.x]),
    )


def _lines(source: Source, query: Query) -> list[Line]:
    return [
        Line(run_id, run, place, series)
        for place, run_id in enumerate(query.runs)
        for run in [source.run(run_id)]
        for series in source.series(run_id)
        if series.metric.startswith(PREFIX)
    ]


def _trace(
    source: Source, query: Query, line: Line, panel: int, layers: list[str], tally: canvas.Tally
) -> go.Scatter:
    points = window.read(source, line.run_id, line.series.id, query)
    tally.add_window(points)
    x = progress.positions(source, line.run_id, line.run, points.steps, query.x)
    metric_words = metric(line.series.metric)
    layer = plain(clipped(line.series.layer)) or "whole network"
    name, several = f"{metric_words.title}: {layer}", len(query.runs) > 1
    if several:
        name += f" · {run_name(line.run.number, line.run.name)}"
    run = numbered(line.run.number, line.run.name) if several else ""
    whole = full_name(f"{metric_words.title}: {line.series.layer or 'whole network'}", run)
    meta: dict[str, Any] = {"run": line.run_id, "x": query.x, "full": whole}
    if query.x == "step":
        meta |= {"series": line.series.id, "positive": False}
    suffix = panel + 1 if panel else ""
    return go.Scatter(
        x=x.tolist(),
        y=canvas.numbers(points.values),
        name=name,
        mode="lines+markers",
        line={
            "color": style.run_colour(layers.index(line.series.layer)),
            "dash": style.dash(line.place),
            "width": 2,
        },
        marker={"symbol": style.symbol(line.label), "size": 5, "maxdisplayed": 40},
        legendgroup=f"{line.group} {line.series.metric} {line.series.layer}",
        hovertemplate=hover_point(whole, query.x, metric_words, "y"),
        meta=meta,
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
    )


def _axes(titles: list[str], across: str) -> dict[str, Any]:
    """One panel for each title, one above the other, with a shared x range."""
    count = max(1, len(titles))
    layout: dict[str, Any] = {}
    for at in range(count):
        suffix = at + 1 if at else ""
        shared = {"matches": "x"} if at else {}
        heading = across if at == count - 1 else ""
        layout[f"xaxis{suffix}"] = canvas.axis(heading, anchor=f"y{suffix}", **shared)
        layout[f"yaxis{suffix}"] = canvas.axis(
            titles[at] if titles else "",
            anchor=f"x{suffix}",
            domain=[1 - (at + 0.85) / count, 1 - at / count],
        )
    return layout
