"""Larger batch or more draws: the variance that a budget leaves, however it is divided."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.microscope import variance_split
from backend.figures.data.microscope.variance_split import MeasuredSplit
from backend.figures.data.query import BUDGETS, Query
from backend.figures.data.select import TRACES
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, style
from backend.figures.drawing.text import clipped, hover_head, line_name, plain
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.words import microscope as words_of
from estimators.statistics.variance_check import Check

INFO = FigureInfo(
    title="Larger batch or more draws?",
    help="One gradient may cost so many draws at the run's batch size. They can be spent on a "
    "batch b times as large or on K draws of it, b K = budget. The curve is what the anatomy "
    "predicts for each split; the star is its lowest point, with examples × draws beside it. The "
    "mark with bars was measured by fresh gradients at that split and checks the prediction; it "
    "is on the curve at the budget “as checked”.",
    reading="A star at the left end asks for a larger batch, one further right for more draws.",
    parameters=("runs", "budget", "layer", "estimator"),
    charts=(
        Chart(
            "budget",
            (Place("anatomy", "budget", 20),),
            "Variance that a budget leaves",
            menus={"budget": BUDGETS},
        ),
    ),
)


def figure(source: Source, query: Query) -> go.Figure:
    """A curve for each estimator over K with a star at the answer, and what was measured."""
    splits = variance_split.read(source, query, query.layer)[:TRACES]
    tally = canvas.Tally(len(splits), len(splits))
    budget = variance_split.budget(splits, query.budget)
    traces: list[Any] = []
    for measured in splits:
        traces += _drawn(measured, budget, _name(measured, query), tally)
    tally.conclude(words_of.advice({
        measured.label: measured.split.advise(budget).verdict for measured in splits
    }))  # fmt: skip
    if splits:
        tally.say(
            "lines: predicted by the variance split; star: the least variance, examples × draws"
        )
    if any((trace.meta or {}).get("role") == "check" for trace in traces):
        tally.say("ring and bars: measured there, ± 1 standard error, no confidence interval")
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    size = splits[0].split.batch if splits else 0
    return canvas.finish(
        traces, tally, title=INFO.title + where, height=400,
        xaxis=canvas.axis(
            f"draws K, each on {budget * size:,} / K examples", type="log", tickangle=0,
            **_ticks(budget * size),
        ),
        yaxis=canvas.axis("tr Var of the mean", type="log", exponentformat="power", nticks=6),
    )  # fmt: skip


def _ticks(examples: float) -> dict[str, Any]:
    most = min(variance_split.MAX_DRAWS, max(1, examples))
    powers = [2**k for k in range(21) if 2**k <= most]
    kept = powers[:: max(1, -(-len(powers) // 7))]
    return {"tickmode": "array", "tickvals": kept, "ticktext": [f"{k:,}" for k in kept]}


def _name(measured_split: MeasuredSplit, query: Query) -> str:
    run, several = measured_split.run, len(query.runs) > 1
    return line_name(measured_split.label, run.number, run.name, several=several)


def _group(measured_split: MeasuredSplit) -> str:
    """The identity of its entry in the legend."""
    return f"{measured_split.run_id} {measured_split.label}"


def _drawn(
    measured_split: MeasuredSplit, budget: float, name: str, tally: canvas.Tally
) -> list[Any]:
    batch, draws = measured_split.curve(budget)
    colour = style.colour(measured_split.label)
    line = go.Scatter(
        x=draws.tolist(), y=_above(measured_split.split.variance(batch, draws)),
        mode="lines", name=name, legendgroup=_group(measured_split),
        line={"color": colour, "width": 2}, customdata=batch.tolist(),
        hovertemplate=f"{hover_head(name)}<br>%{{x:,.0f}} draws of %{{customdata:,.0f}} examples"
        "<br>tr Var %{y:.4~g}<extra></extra>",
        meta={"run": measured_split.run_id},
    )  # fmt: skip
    best = measured_split.split.advise(budget)
    if best.verdict == "no variance":
        tally.say(f"{name}: no variance at all")
        return []
    words = f"{best.batch:,} examples × {best.draws:,}"
    star = go.Scatter(
        x=[best.draws], y=[best.variance], mode="markers+text", name=f"{name}: best",
        text=[f"{best.batch:,} × {best.draws:,}" if best.draws > 1 else ""],
        legendgroup=_group(measured_split), showlegend=False,
        textposition="top center",
        hovertext=[f"{hover_head(name)}<br>{best.verdict}: {words}"],
        hoverinfo="text", meta={"run": measured_split.run_id, "role": "best"}, cliponaxis=False,
        marker={"symbol": "star", "size": 15, "color": colour},
    )  # fmt: skip
    decided = best.verdict != "undecided"
    if not decided:
        tally.say(f"{name}: no star, no decision between a larger batch and more draws")
    check = measured_split.check
    measured = (
        [_check(measured_split, check, name)]
        if check and check.budget(measured_split.split.batch) == budget
        else []
    )
    return [line, *([star] if decided else []), *measured]


def _above(values: Floats) -> list[float | None]:
    return canvas.numbers(np.where(values > 0, values, np.nan))


def _check(measured_split: MeasuredSplit, check: Check, name: str) -> go.Scatter:
    spread, colour = check.measured_se or 0.0, style.colour(measured_split.label)
    measured = max(check.measured, 0.0)
    text = f"measured {check.measured:.4g}, predicted {check.predicted:.4g}"
    return go.Scatter(
        x=[check.draws], y=[measured or None], mode="markers", name=f"{name}: measured",
        legendgroup=_group(measured_split), showlegend=False,
        hovertext=[f"{hover_head(name)}<br>{text}"],
        hoverinfo="text", meta={"run": measured_split.run_id, "role": "check"},
        marker={"symbol": style.symbol(measured_split.label) + "-open", "size": 12, "color": colour,
                "line": {"width": 2, "color": colour}},
        error_y={"type": "data", "symmetric": False, "array": [spread], "color": colour,
                 "arrayminus": [min(spread, 0.95 * measured)], "width": 5},
    )  # fmt: skip
