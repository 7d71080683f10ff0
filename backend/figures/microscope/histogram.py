"""Histograms of the draws: a panel for each estimator, with its mean and its law marked."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import draws
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.source import FigureError, Floats, Source
from backend.figures.drawing import canvas, hatch, panels, style
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.reference import Null, Reference
from backend.figures.summary.pooled import Pooled
from backend.figures.words import measures
from estimators.statistics.formatting import counted
from estimators.statistics.reference import HATCH, HATCH_NOTE, OF_THE_REFERENCE


def _of_draws(name: str, order: int, title: str, help: str, reading: str) -> Chart:
    return Chart(
        f"histogram-{name}",
        (Place("draws", "draws", order),),
        title,
        help,
        reading,
        {"metric": f"draw/{name}"},
        follows=("{metric}", f"law/{name}"),
        size="tall",
    )


INFO = FigureInfo(
    title="Histograms of the draws",
    help="How the draws of each estimator are distributed: a panel for each estimator. Solid: the "
    "mean of the draws; dashed: the mean by the law, where a law is known.",
    reading="A wide histogram is noise, which averaging removes; a mean off its law is an error.",
    parameters=("runs", "metric", "layer", "estimator"),
    charts=(
        _of_draws(
            "cosine",
            10,
            "Cosine of the draws",
            "The cosine of every draw with the exact gradient, a panel for each estimator with an "
            "axis of its own. Solid: the mean of the draws; dashed: the mean by the law, where a "
            "law is known.",
            "The further right, the more of each single draw is gradient and not noise.",
        ),
        _of_draws(
            "norm_ratio",
            20,
            "Norm of the draws",
            "How much longer every draw is than the exact gradient, ‖ĝ‖ / ‖g‖, a panel for each "
            "estimator with an axis of its own.",
            "Long draws need a small learning rate; a long right tail needs clipping.",
        ),
    ),
)
ALLOWED = ("cosine", "norm_ratio", "along", "across")
PANEL, ROOM = 72, 26
"""Height of a panel in pixels, and of the ticks below it: each has an axis of its own."""
BINS = (8, 60)


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the first metric named (`draw/cosine` by default) of every estimator and run."""
    name = _name(query)
    what, tally = metric(name), canvas.Tally()
    estimators = draws.each(source, query, name, tally)
    traces: list[Any] = []
    hatched = [
        name.removeprefix(draws.PREFIX) in OF_THE_REFERENCE
        and Reference(source, drawn.line.run_id).rounded_now(query.layer)
        for drawn in estimators
    ]
    nulls = [_null(source, drawn) for drawn in estimators]
    for at, drawn in enumerate(estimators):
        traces += _panel(source, at, drawn, nulls[at], hatched=hatched[at])
    tally.conclude(_takeaway(name, query, estimators))
    tally.say(HATCH_NOTE if any(hatched) else "")
    tally.say(hatch.null_note(nulls, f"dotted: {hatch.BAND}"))
    for run_id in query.runs:
        if draws.is_dead(source, run_id, query.layer):
            tally.say("the exact gradient is 0 here: nothing is divided by it")
    if query.layer and not estimators:
        tally.say("single draws are kept of the network and its stages, not of tensors")
    tally.say(draws.how(source, [drawn.line.key for drawn in estimators]))
    tally.say("solid: mean of the draws; dashed: mean by the law, where one is known")
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    return canvas.finish(
        traces,
        tally,
        title=what.title + where,
        height=panels.height(len(estimators), PANEL, ROOM),
        showlegend=False,
        **_layout(estimators, what.axis, len(query.runs), hatched, nulls),
    )


def _takeaway(name: str, query: Query, estimators: list[draws.Draws]) -> str:
    """The means of the draws, as the measure of the same name is said."""
    pooled = [
        Pooled(each.line, np.arange(len(each.values), dtype=np.int64), each.values)
        for each in estimators
    ]
    return measures.takeaway(name.removeprefix(draws.PREFIX), pooled, query.layer)


def _name(query: Query) -> str:
    key = (query.metrics[0] if query.metrics else "cosine").removeprefix(draws.PREFIX)
    if key not in ALLOWED:
        allowed = ", ".join(draws.PREFIX + name for name in ALLOWED)
        raise FigureError(f"there are no draws of {key!r}; allowed are {allowed}")
    return draws.PREFIX + key


def _null(source: Source, drawn: draws.Draws) -> Null:
    """The null of these draws' cosines; of no other metric of them."""
    line, name = drawn.line, drawn.line.series.metric.removeprefix(draws.PREFIX)
    exact, values = Reference(source, line.run_id), drawn.values
    lowest = np.array([values.min() if len(values) else np.nan])  # exact where all draws are
    made = source.points(line.series.id, newest=1).steps + 1
    return exact.null(name, line.label, line.series.layer, made, lowest)


def _panel(source: Source, at: int, drawn: draws.Draws, null: Null, *, hatched: bool) -> list[Any]:
    if not len(drawn.values):
        return []
    heights, edges = bins(drawn.values)
    axes = panels.axes(at)
    label, top = drawn.line.label, float(heights.max())
    name, colour = plain(clipped(label)), style.colour(label)
    interval = f"{hover_head(plain(label))}<br>%{{customdata[0]:.4g}} … %{{customdata[1]:.4g}}"
    bars = go.Bar(
        x=((edges[:-1] + edges[1:]) / 2).tolist(), y=heights.tolist(), name=name,
        width=np.diff(edges).tolist(), marker=_look(colour, hatched=hatched),
        opacity=0.7, customdata=np.stack([edges[:-1], edges[1:]], 1).tolist(),
        hovertemplate=interval + "<br>%{y:.3~%} of the draws<extra></extra>",
        meta={"run": drawn.line.run_id, "role": "bins"}, **axes,
    )  # fmt: skip
    mean = float(drawn.values.mean())
    count = counted(len(drawn.values), "draw")
    mean_words = f"mean {mean:.4g} ± {drawn.error:.2g} (standard error), {count}"
    marks = [_mark(mean, top, f"{name}: mean", mean_words, "solid", axes)]
    law = draws.latest(
        source, drawn.line, "law/" + drawn.line.series.metric.removeprefix(draws.PREFIX)
    )
    if law is not None:
        marks.append(_mark(law, top, f"{name}: law", f"mean by the law {law:.4g}", "dash", axes))
    ends = [("above", null.high), ("below", null.low)]
    for side, end in [(side, float(end[0])) for side, end in ends if np.isfinite(end).all()]:
        words = f"null band: 2.5 % of cosines are {side} {end:.3g} by chance"
        marks.append(_mark(end, top, f"{name}: null", words, "dot", axes))
    return [bars, *marks]


def _look(colour: str, *, hatched: bool) -> dict[str, Any]:
    """Bars of the draws of an estimator; hatched where they compare with rounding."""
    plain_bars = {"color": colour, "line": {"width": 0}}
    return {**plain_bars, "pattern": {"shape": "x", "size": 6}} if hatched else plain_bars


def bins(values: Floats) -> tuple[Floats, Floats]:
    """Shares of the draws and edges, by Freedman and Diaconis within bounds; one bin if equal."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        half = 0.01 * abs(low) or 0.01
        return np.ones(1), np.array([low - half, low + half])
    width = 2 * float(np.subtract(*np.quantile(values, [0.75, 0.25]))) / len(values) ** (1 / 3)
    wanted = (high - low) / width if width > 0 else BINS[1]
    counts, edges = np.histogram(values, int(np.clip(np.ceil(wanted), *BINS)))
    return counts / len(values), edges


def _mark(x: float, top: float, name: str, words: str, dash: str, axes: dict[str, str]) -> Any:
    return go.Scatter(
        x=[x, x], y=[0, 1.08 * top], mode="lines", name=name, text=[words, words],
        line={"color": "#808080", "width": 2, "dash": dash},
        hovertemplate="%{text}<extra></extra>", **axes,
    )  # fmt: skip


def _layout(
    estimators: list[draws.Draws], words: str, runs: int, hatched: list[bool], nulls: list[Null]
) -> dict[str, Any]:
    heads = [
        f"{HATCH} " * bad + _heading(drawn, runs > 1)
        for drawn, bad in zip(estimators, hatched, strict=True)
    ]
    up = canvas.axis("", tickformat=".0%", nticks=3, rangemode="tozero")
    across = canvas.axis(words, nticks=5, tickangle=0)
    layout = panels.layout(heads, PANEL, across, [up] * len(estimators), ROOM)
    for at, (drawn, null) in enumerate(zip(estimators, nulls, strict=True)):
        layout[f"xaxis{at + 1 if at else ''}"] |= _range(drawn, null)
    return {**layout, "bargap": 0}


def _range(drawn: draws.Draws, null: Null) -> dict[str, Any]:
    """A range that holds the null, with a margin; around draws that are all equal, so that their
    one bar is narrow."""
    ends = [float(end) for end in (*null.low, *null.high) if np.isfinite(end)]
    equal = len(drawn.values) > 0 and np.ptp(drawn.values) <= 1e-9
    if not len(drawn.values) or not (equal or ends):
        return {}
    low = min([float(drawn.values.min()), *ends])
    high = max([float(drawn.values.max()), *ends])
    pad = 0.05 * (high - low)
    if equal:
        middle = float(drawn.values[0])
        pad = max(pad, (0.5 * abs(middle) or 1.0) - min(middle - low, high - middle))
    return {"range": [low - pad, high + pad]}


def _heading(drawn: draws.Draws, several: bool) -> str:
    values = drawn.values
    summary = (
        f"mean {values.mean():.3g}, {counted(len(values), 'draw')}" if len(values) else "no value"
    )
    return f"{hover_head(draws.name_of(drawn.line, several=several))}<br>{summary}"
