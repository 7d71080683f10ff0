"""What a run's driver reports of itself: feedback angles, local losses, norms before clipping."""

from itertools import accumulate
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import progress, window
from backend.figures.data.metrics import EVENTS, OF_SOLVES, Metric, metric
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, Line
from backend.figures.data.source import Source
from backend.figures.drawing import canvas, style
from backend.figures.drawing.names import numbered
from backend.figures.drawing.text import clipped, full_name, hover_point, plain, run_name
from backend.figures.info import Chart, FigureInfo, Pick, Place

PREFIX = "estimator/"
INFO = FigureInfo(
    title="Reported by the driver",
    help="What the driving estimator reports of itself (angles of its feedback, losses of its "
    "blocks, norms before clipping): a panel for each quantity, a line for each layer. Solves of "
    "equilibria have a figure of their own.",
    reading="Use it to check the method at work: whether feedback aligns, or local losses fall.",
    parameters=("runs", "report", "x", "max", "first", "last", "left", "right"),
    charts=(
        Chart(
            "driver-reports",
            (Place("run", "measures", 90),),
            follows=(f"{PREFIX}*",),
            picks=(Pick("report", own=True),),
            with_points=True,
        ),
    ),
)
PANELS = 6
PANEL = 190
"""Height of one, in pixels."""
LINE = 26
"""Most characters of a line of an axis title: what the height of a panel holds."""
SHARE_OF = 32
"""Reports that a share of steps is the mean over."""


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the `estimator/<key>` of the runs: the one asked for, else as many as fit."""
    reported = _lines(source, query)
    keys = list(dict.fromkeys(line.series.metric for line in reported))
    panels = [f"{PREFIX}{query.report}"] if query.report else _fitting(keys, reported)
    shown = [line for line in reported if line.series.metric in panels]
    tally = canvas.Tally(zoomed=window.is_zoomed(query))
    if len(panels) < len(keys) and not query.report:
        tally.say(f"{len(panels)} of {len(keys)} quantities: choose another one above")
    if len(shown) > TRACES:
        tally.say(f"{TRACES} of {len(shown)} lines: choose fewer runs")
    if set(panels) & {*EVENTS}:
        tally.say(f"a share of steps is the mean over the last {SHARE_OF} reports")
    names = list(dict.fromkeys(line.series.layer for line in shown))
    traces = [
        _trace(source, query, line, panels.index(line.series.metric), names, tally)
        for line in shown[:TRACES]
    ]
    words = [metric(key) for key in panels]
    return canvas.finish(
        traces,
        tally,
        title=INFO.title,
        height=90 + PANEL * max(1, len(panels)),
        meta={"reports": [_choice(key) for key in keys]},
        **_axes([_axis_title(each) for each in words], progress.TITLES[query.x]),
    )


def _choice(name: str) -> dict[str, str]:
    """A quantity as the page's control offers it: its key, and what it is called."""
    return {"value": name.removeprefix(PREFIX), "title": metric(name).title}


def _axis_title(words: Metric) -> str:
    """A quantity and its unit, in lines that fit beside a panel."""
    whole = f"{words.title}{f' ({words.unit})' if words.unit else ''}"
    lines = wrap(whole, LINE, break_long_words=False)
    return "<br>".join(map(plain, lines))


def _fitting(keys: list[str], lines: list[Line]) -> list[str]:
    """The first quantities, as many as have room for all of their lines."""
    counts = [sum(line.series.metric == key for line in lines) for key in keys]
    room = [at for at, lines_so_far in enumerate(accumulate(counts)) if lines_so_far <= TRACES]
    return keys[: min(PANELS, max(len(room), 1))]


def _lines(source: Source, query: Query) -> list[Line]:
    return [
        Line(run_id, run, place, series)
        for place, run_id in enumerate(query.runs)
        for run in [source.run(run_id)]
        for series in source.series(run_id)
        if series.metric.startswith(PREFIX) and series.metric.removeprefix(PREFIX) not in OF_SOLVES
    ]


def _trace(
    source: Source, query: Query, line: Line, panel: int, layers: list[str], tally: canvas.Tally
) -> go.Scatter:
    is_event = line.series.metric in EVENTS
    points = (_share if is_event else window.read)(source, line.run_id, line.series.id, query)
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
    if query.x == "step" and not is_event:
        meta |= {"series": line.series.id, "positive": False}
    suffix = panel + 1 if panel else ""
    return go.Scatter(
        x=x.tolist(),
        y=canvas.numbers(points.values),
        name=name,
        mode="lines+markers",
        line={
            "color": style.run_colour(layers.index(line.series.layer)),
            "dash": style.run_dash(line.run_index),
            "width": 2,
        },
        marker={"symbol": style.symbol(line.label), "size": 5, "maxdisplayed": 40},
        legendgroup=f"{line.group} {line.series.metric} {line.series.layer}",
        hovertemplate=hover_point(whole, query.x, metric_words, "y"),
        meta=meta,
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
    )


def _share(source: Source, run_id: str, series_id: int, query: Query) -> window.Window:
    """The mean of an event over its latest reports, at each report.

    Read whole: of thinned points, which keep the extrema, the mean would be another one.
    """
    first, last = window.visible(source, run_id, source.run(run_id), query)
    points = source.points(series_id, last=last)
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(points.values))])
    ends = np.arange(1, len(points.values) + 1)
    starts = np.maximum(ends - SHARE_OF, 0)
    shares = (sums[ends] - sums[starts]) / (ends - starts)
    low = 0 if first is None else int(np.searchsorted(points.steps, first))
    kept = low + canvas.evenly(len(ends) - low, query.max)
    return window.Window(points.steps[kept], shares[kept], len(kept), len(ends) - low)


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
