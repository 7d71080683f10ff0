"""Larger batch or more draws: the variance that a budget leaves, however it is divided."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.parts import canvas, hover, split, style
from backend.figures.parts.query import Query
from backend.figures.parts.select import TRACES
from backend.figures.parts.source import Floats, Source
from backend.figures.parts.split import Check, Split
from backend.figures.parts.text import clipped, plain, run_name

title = "Larger batch or more draws?"
help = "Variance of the mean of K draws on b times the batch, b K = n: where it is least."
parameters = ("runs", "layer", "estimator", "budget")
USUAL = 8
"""The budget where nothing is said and nothing was checked."""
SAME = 0.02
"""What is nearer to the least variance than this is as good."""


def figure(source: Source, query: Query) -> go.Figure:
    """A line an estimator over K, its least variance starred; what was measured beside it."""
    tally = canvas.Tally()
    found = split.read(source, query, query.layer)[:TRACES]
    budget = query.budget or next((_budget(one) for one in found if one.check), USUAL)
    traces: list[Any] = []
    for one in found:
        traces += _drawn(one, budget, _name(one, query), tally)
    tally.shown = tally.count = len(found)
    if found:
        tally.say("curves: predicted by the anatomy; star: the least variance")
    if any(trace.meta and trace.meta.get("role") == "check" for trace in traces):
        tally.say("bars: ± 1 standard error of what was measured")
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    size = found[0].batch if found else 0
    return canvas.finish(
        traces, tally, title=title + where, height=400,
        xaxis=canvas.axis(_across(budget, size), type="log", tickangle=0, **_ticks(found, budget)),
        yaxis=canvas.axis("tr Var of the mean", type="log", exponentformat="power", nticks=6),
    )  # fmt: skip


def _across(budget: float, size: int) -> str:
    return f"draws K, each on {budget:,g} × {size:,} / K examples"


def _ticks(found: list[Split], budget: float) -> dict[str, Any]:
    most = min(split.MOST, budget * max((one.batch for one in found), default=1))
    powers = [2**k for k in range(0, 13) if 2**k <= most]
    stride = max(1, -(-len(powers) // 7))
    kept = powers[::stride]
    return {"tickmode": "array", "tickvals": kept, "ticktext": [f"{k:,}" for k in kept]}


def _budget(one: Split) -> int:
    """The budget whose line goes through the check."""
    assert one.check
    return max(1, round(one.check.batch / one.batch * one.check.draws))


def _name(one: Split, query: Query) -> str:
    label = plain(clipped(one.label))
    return f"{label} · {run_name(one.run.number, one.run.name)}" if len(query.runs) > 1 else label


def _drawn(one: Split, budget: float, name: str, tally: canvas.Tally) -> list[Any]:
    batch, draws = one.spent(budget)
    if not len(batch):
        tally.say(f"{name}: {budget:g} draws' worth buys no draw on a single example")
        return []
    values = one.variance(batch, draws)
    colour = style.colour(one.label)
    line = go.Scatter(
        x=draws.tolist(), y=_above(values), mode="lines", name=name, legendgroup=name,
        line={"color": colour, "width": 2}, customdata=batch.tolist(),
        hovertemplate=f"{hover.head(name)}<br>%{{x:,.0f}} draws of %{{customdata:,.0f}} examples"
        "<br>tr Var %{y:.4~g}<extra></extra>",
        meta={"run": one.run_id},
    )  # fmt: skip
    traces = [line, *_best(name, one.label, batch, draws, values, tally)]
    if one.check:
        traces += _check(one, one.check, budget, name, tally)
    return traces


def _above(values: Floats) -> list[float | None]:
    return canvas.numbers(np.where(values > 0, values, np.nan))


def _best(
    name: str, label: str, batch: Floats, draws: Floats, values: Floats, tally: canvas.Tally
) -> list[Any]:
    if not (values > 0).any():
        tally.say(f"{name}: no variance is left, whatever the split")
        return []
    # Of splits as good as the best, the one with the fewest draws: a plain batch is simplest.
    at = int(np.argmax(values <= values.min() * (1 + 1e-9)))
    words = _words(name, batch, draws, values, at)
    tally.say(words)
    colour = style.colour(label)
    return [
        go.Scatter(
            x=[draws[at]], y=_above(values[at : at + 1]), mode="markers+text", name=f"{name}: best",
            text=[f"{batch[at]:,.0f} × {draws[at]:,.0f}"], textposition="top center",
            legendgroup=name, showlegend=False, hovertext=[words], hoverinfo="text",
            marker={"symbol": "star", "size": 15, "color": colour}, cliponaxis=False,
        )
    ]  # fmt: skip


def _words(name: str, batch: Floats, draws: Floats, values: Floats, at: int) -> str:
    """The answer in a sentence."""
    best = f"{batch[at]:,.0f} examples × {draws[at]:,.0f} {'draws' if draws[at] > 1 else 'draw'}"
    alone, most = values[0] / values[at], values[-1] / values[at]
    flat = (values.max() / values[at] - 1) < SAME
    if flat:
        return f"{name}: it makes no difference how the budget is divided"
    if alone <= 1 + SAME:
        return f"{name}: larger batch, {best}; more draws buy nothing ({most:.3g} times at the end)"
    if most <= 1 + SAME:
        return f"{name}: more draws, {best}; a batch alone leaves {alone:.3g} times the variance"
    return f"{name}: both, {best}; a batch alone leaves {alone:.3g} times the variance"


def _check(one: Split, check: Check, budget: float, name: str, tally: canvas.Tally) -> list[Any]:
    said = f"measured {check.measured:.3g}"
    if check.measured_se:
        said += f" ± {check.measured_se:.2g}"
    said += f" at {check.batch:,} × {check.draws}, predicted {check.predicted:.3g}"
    if check.apart is not None:
        said += f" ({abs(check.apart):.1f} standard errors apart)"
    tally.say(f"{name}: {said}")
    if _budget(one) != budget or check.measured <= 0:
        return []
    spread = check.measured_se or 0.0
    colour = style.colour(one.label)
    return [
        go.Scatter(
            x=[check.draws], y=[check.measured], mode="markers", name=f"{name}: measured",
            legendgroup=name, showlegend=False, hovertext=[f"{hover.head(name)}<br>{said}"],
            hoverinfo="text", meta={"run": one.run_id, "role": "check"},
            marker={"symbol": style.symbol(one.label) + "-open", "size": 12, "color": colour,
                    "line": {"width": 2, "color": colour}},
            error_y={"type": "data", "symmetric": False, "array": [spread], "color": colour,
                     "arrayminus": [min(spread, 0.95 * check.measured)], "width": 5},
        )
    ]  # fmt: skip
