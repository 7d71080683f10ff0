"""Histograms of the change of the loss at one learning rate: a panel for each estimator."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.microscope import one_step
from backend.figures.data.microscope.one_step import OneStepDraws
from backend.figures.data.query import Query
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, panels, style
from backend.figures.drawing.text import hover_head
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.microscope.histogram import bins
from backend.figures.words import microscope as words_of

INFO = FigureInfo(
    title="Changes of the loss at one learning rate",
    help="How the change of the loss is distributed over the draws at one learning rate, a panel "
    "for each estimator; dotted: no change, solid: the mean. The learning rate is the tried one "
    "that is nearest to the best of each estimator, or the chosen one.",
    reading="What lies left of the dotted line lowers the loss.",
    parameters=("runs", "rate", "estimator"),
    charts=(Chart("loss-change", (Place("one_step", "loss-change", 10),)),),
)
PANEL = 84
"""Height of a panel in pixels."""
ROOM = 22
"""Below each panel, whose axis is its own: changes are decades apart."""
MOST = 8
"""Most panels."""
FAR = 8.0
"""Interquartile ranges from the median beyond which steps are counted, not drawn."""


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the changes at the tried rate nearest to `rate`, or to each estimator's best rate."""
    estimators, tally = one_step.read(source, query), canvas.Tally()
    estimators = [steps for steps in estimators if steps.changes][:MOST]
    several = len(query.runs) > 1
    traces: list[Any] = []
    shares: dict[str, tuple[int, int]] = {}
    headings, ranges = [], []
    for at, steps in enumerate(estimators):
        rate = _rate(steps, query.rate)
        values = steps.changes[rate]
        shares[steps.label] = int((values < 0).sum()), len(values)
        tally.shown += len(values)
        tally.count += len(values)
        words = _heading_words(steps, rate, values, own=query.rate is None)
        headings.append(f"{hover_head(steps.name(several))}<br>{words}")
        ranges.append(_range(values))
        traces += _panel(steps, at, values)
        tally.say(one_step.counted(steps, steps.name(several)))
        tally.say(_left_out(steps, several, values))
    if estimators:
        tally.say("solid: the mean; dotted: no change")
    tally.conclude(words_of.lowering_draws(shares))
    up = canvas.axis("", tickformat=".0%", nticks=3, rangemode="tozero")
    across = canvas.axis("change of the loss", nticks=6, tickangle=0)
    return canvas.finish(
        traces, tally, title=INFO.title, height=panels.height(len(estimators), PANEL, ROOM),
        bargap=0,
        showlegend=False,
        **_ranged(panels.layout(headings, PANEL, across, [up] * len(estimators), ROOM), ranges),
    )  # fmt: skip


def _rate(steps: OneStepDraws, asked: float | None) -> float:
    return steps.nearest(asked or steps.best or steps.usual or next(iter(steps.changes)))


def _heading_words(steps: OneStepDraws, rate: float, values: Floats, *, own: bool) -> str:
    finite = values[np.isfinite(values)]
    words = f"η = {rate:.3g}"
    if own and steps.best and f"{steps.best:.3g}" != f"{rate:.3g}":
        words += f" (nearest tried; best {steps.best:.3g})"
    if not len(finite):
        return f"{words}, no step ends in a finite loss"
    words += f", falls in {(values < 0).mean():.0%} of {len(values):,}"
    if len(finite) < len(values):
        return f"{words}, {len(values) - len(finite):,} not finite"
    return f"{words}, mean {finite.mean():.3g}".replace("-", "−")


def _left_out(steps: OneStepDraws, several: bool, values: Floats) -> str:
    """How many finite steps the histogram leaves out; "" for none."""
    left_out = int(np.isfinite(values).sum()) - len(_near(values))
    if not left_out:
        return ""
    return f"{steps.name(several)}: {left_out:,} steps ended far outside and are not drawn"


def _near(values: Floats) -> Floats:
    """The values that are drawn: finite, and not so far out that all others share one bar."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return finite
    low, middle, high = np.quantile(finite, [0.25, 0.5, 0.75])
    near = finite[np.abs(finite - middle) <= FAR * (high - low)]
    return near if len(near) else finite


def _range(values: Floats) -> list[float] | None:
    """From end to end of what is drawn, zero included unless it is far away."""
    near = _near(values)
    if not len(near):
        return None
    low, high = float(near.min()), float(near.max())
    reach = max(high - low, 0.0)
    if reach == 0 or min(abs(low), abs(high)) <= 3 * reach or low <= 0 <= high:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return [low - room, high + room]


def _ranged(layout: dict[str, Any], ranges: list[list[float] | None]) -> dict[str, Any]:
    for at, ends in enumerate(ranges):
        if ends:
            layout[f"xaxis{at + 1 if at else ''}"]["range"] = ends
    return layout


def _panel(steps: OneStepDraws, at: int, values: Floats) -> list[Any]:
    near, ends = _near(values), _range(values)
    if ends is None:
        return []
    heights, edges = bins(near)
    heights = heights * len(near) / len(values)
    if len(heights) == 1:  # draws that are all alike: a bar that can be seen
        middle, half = float(near.mean()), 0.01 * (ends[1] - ends[0])
        edges = np.array([middle - half, middle + half])
    axes, colour, name = panels.axes(at), style.colour(steps.label), steps.name(False)
    top = 1.08 * float(heights.max())
    equal = f"{near.mean():.4g}, all alike" if len(heights) == 1 else ""
    interval = equal or "%{customdata[0]:.4g} … %{customdata[1]:.4g}"
    bars = go.Bar(
        x=((edges[:-1] + edges[1:]) / 2).tolist(), y=heights.tolist(), name=name,
        width=np.diff(edges).tolist(), marker={"color": colour, "line": {"width": 0}},
        opacity=0.7, customdata=np.stack([edges[:-1], edges[1:]], 1).tolist(),
        hovertemplate=f"{hover_head(name)}<br>{interval}<br>%{{y:.3~%}} of the steps"
        "<extra></extra>",
        meta={"run": steps.run_id, "role": "bins"}, **axes,
    )  # fmt: skip
    marks = []
    if ends[0] <= 0 <= ends[1]:
        marks.append(_mark(0.0, top, "no change", "dot", axes))
    mean = float(values.mean())
    if np.isfinite(values).all() and ends[0] <= mean <= ends[1]:
        marks.append(_mark(mean, top, f"{name}: mean {mean:.4g}", "solid", axes))
    return [bars, *marks]


def _mark(x: float, top: float, words: str, dash: str, axes: dict[str, str]) -> Any:
    return go.Scatter(
        x=[x, x], y=[0, top], mode="lines", name=words, text=[words] * 2,
        line={"color": "#808080", "width": 2, "dash": dash},
        hovertemplate="%{text}<extra></extra>", **axes,
    )  # fmt: skip
