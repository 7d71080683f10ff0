"""Change of the loss in one step against the learning rate: a panel for each estimator."""

from collections.abc import Sequence
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
from backend.figures.words import microscope as words_of
from estimators.statistics.student import Sample

INFO = FigureInfo(
    title="Change of the loss against the learning rate",
    help="Every draw is taken as a step −η ĝ from the checkpoint; the figure shows the change of "
    "the loss on the same batch against the learning rate η. Line: the mean with its standard "
    "error; bands: 5–95 % and 25–75 % of the draws; dashed: the expectation to second order, by "
    "one Hessian-vector product a draw. Each panel has an axis of its own.",
    reading="The lowest point of the dashed line, the star, is the best learning rate and the "
    "expected decrease.",
    parameters=("runs", "estimator"),
    charts=(Chart("what_if", (Place("one_step", "what-if", 20),)),),
)
PANEL = 170
"""Height of a panel in pixels."""
MOST = 8
"""Most panels."""
BANDS = ((0.05, 0.95, 0.15), (0.25, 0.75, 0.25))
"""Quantiles that a band reaches between, and its opacity."""


def figure(source: Source, query: Query) -> go.Figure:
    """Means with quantiles behind them; the prediction dashed; best and usual rates marked."""
    estimators, tally = one_step.read(source, query), canvas.Tally()
    if len(estimators) > MOST:
        tally.say(f"{MOST} of {len(estimators)} estimators: choose one estimator or fewer runs")
    estimators = [steps for steps in estimators[:MOST] if steps.changes]
    tally.shown = tally.count = sum(steps.draws * len(steps.changes) for steps in estimators)
    traces: list[Any] = []
    ups, several, own_drawn = [], len(query.runs) > 1, False
    for at, steps in enumerate(estimators):
        reach = _reach(steps)
        traces += _panel(steps, at, reach)
        own_drawn = own_drawn or steps.own_is_within
        tally.say(_own_not_drawn(steps, steps.name(several)))
        ups.append(canvas.axis("change of the loss", range=[-reach, reach], nticks=5))
        tally.say(one_step.counted(steps, steps.name(several)))
        tally.say(_not_finite(steps, steps.name(several)))
    if estimators:
        tally.say(
            "line: mean of the steps ± 1 standard error; bands: 5–95 % and 25–75 % of the draws; "
            "dashed: to second order; star: best rate and expected decrease; "
            + ("dotted: the run's own learning rate; " if own_drawn else "")
            + "steps are plain, −η ĝ, on the checkpoint's batch, without momentum or a schedule"
        )
    tally.conclude(words_of.best_steps([steps.best_step for steps in estimators]))
    headings = [_heading(steps, several) for steps in estimators]
    across = canvas.axis(
        "learning rate η", type="log", exponentformat="power", dtick=1, tickangle=0
    )
    return canvas.finish(
        traces, tally, title=INFO.title, showlegend=False,
        height=panels.height(len(estimators), PANEL),
        meta=_rates(estimators),
        **panels.layout(headings, PANEL, across, ups),
    )  # fmt: skip


def _rates(estimators: Sequence[OneStepDraws]) -> dict[str, Any]:
    """The rates that were tried, the run's own, and the best of each estimator."""
    if not estimators:
        return {}
    return {
        "rates": list(estimators[0].changes),
        "learning_rate": estimators[0].usual,
        "best_rates": {steps.label: steps.best for steps in estimators if steps.best is not None},
        "kept_rates": {steps.label: steps.kept for steps in estimators if steps.rehearsed},
    }


def _reach(steps: OneStepDraws) -> float:
    """How far the axis reaches either way: chosen to show the decrease, not the divergence."""
    means = [float(v.mean()) for v in steps.changes.values() if len(v) and np.isfinite(v).all()]
    dip = max([0.0, *(-m for m in means), steps.decrease or 0.0])
    if dip > 0:
        return 2 * dip
    sizes = [float(np.quantile(np.abs(v), 0.5)) for v in steps.changes.values() if len(v)]
    finite = [size for size in sizes if np.isfinite(size) and size > 0]
    return float(np.median(finite)) if finite else 1.0


def _panel(steps: OneStepDraws, at: int, reach: float) -> list[Any]:
    rates = np.array(list(steps.changes))
    colour = style.colour(steps.label)
    axes = panels.axes(at)
    traces: list[Any] = []
    for low, high, opacity in BANDS:
        ends = np.array([_quantiles(v, low, high) for v in steps.changes.values()])
        # Far outside the panel a band is cut, so that it is not lost where a loss is infinite.
        ends = np.clip(np.nan_to_num(ends, nan=0.0), -50 * reach, 50 * reach)
        traces.append(_band(rates, ends, colour, opacity, axes, steps, f"{low:.0%}–{high:.0%}"))
    traces.append(_flat(rates, axes))
    smooth = np.geomspace(rates.min(), rates.max(), 160)
    second = steps.predicted(smooth)
    second = np.where(np.abs(second) <= 3 * reach, second, np.nan)
    traces.append(
        go.Scatter(x=smooth.tolist(), y=canvas.numbers(second), mode="lines",
                   name="to second order", legendgroup="second",
                   line={"color": colour, "width": 2, "dash": "dash"},
                   hovertemplate="to second order %{y:.4~g} at η = %{x:.3~g}<extra></extra>",
                   **axes)
    )  # fmt: skip
    traces += [_means(steps, colour, axes, reach)]
    if steps.usual is not None and steps.own_is_within:
        traces.append(_usual(steps.usual, reach, axes))
    if steps.best is not None and steps.decrease is not None:
        traces.append(_best(steps, steps.best, steps.decrease, colour, axes))
    return traces


def _own_not_drawn(steps: OneStepDraws, name: str) -> str:
    """Why the run's own learning rate has no line; "" where it has one or is not recorded."""
    if steps.usual is None or steps.own_is_within:
        return ""
    return (
        f"{name}: the run's own learning rate, {steps.usual:.3g}, is outside the rates that were "
        "tried"
    )


def _quantiles(values: Floats, low: float, high: float) -> Floats:
    """Quantiles of all draws, with losses that are not finite as the largest values."""
    if not len(values):
        return np.array([np.nan, np.nan])
    return np.quantile(values, [low, high], method="inverted_cdf")


def _band(
    rates: Floats, ends: Floats, colour: str, opacity: float, axes: dict[str, str],
    steps: OneStepDraws, words: str,
) -> Any:  # fmt: skip
    return go.Scatter(
        x=[*rates.tolist(), *rates[::-1].tolist()],
        y=[*ends[:, 0].tolist(), *ends[::-1, 1].tolist()],
        mode="lines", line={"width": 0, "color": colour}, fill="toself", fillcolor=colour,
        opacity=opacity, hoverinfo="skip", showlegend=False, name=f"{steps.label} {words}", **axes,
    )  # fmt: skip


def _flat(rates: Floats, axes: dict[str, str]) -> Any:
    return go.Scatter(
        x=[float(rates.min()), float(rates.max())], y=[0, 0], mode="lines", hoverinfo="skip",
        line={"color": "#808080", "width": 1}, name="no change", showlegend=False, **axes,
    )  # fmt: skip


def _means(steps: OneStepDraws, colour: str, axes: dict[str, str], reach: float) -> Any:
    """Mean changes, only where every step ends in a finite loss: others would be too favourable."""
    values = list(steps.changes.values())
    means = np.array([v.mean() if len(v) else np.nan for v in values])
    errors = np.array([_error(v) for v in values])
    text = [
        f"{hover_head(steps.name(False))}<br>η = {rate:.3g}: mean {mean:.4g}"
        + (f" ± {error:.2g} (standard error)" if np.isfinite(error) else "")
        + f"<br>the loss falls in {(v < 0).mean():.0%} of {len(v):,} steps"
        for rate, mean, error, v in zip(steps.changes, means, errors, values, strict=True)
        if len(v)
    ]
    # Beyond the panel, but on the line; where it is not finite there is none.
    inside = np.where(np.isfinite(means), np.clip(means, -50 * reach, 50 * reach), np.nan)
    shown = np.minimum(np.nan_to_num(errors), 3 * reach)
    return go.Scatter(
        x=list(steps.changes), y=canvas.numbers(inside), mode="lines+markers", text=text,
        name="mean of the steps", legendgroup="mean",
        hovertemplate="%{text}<extra></extra>", line={"color": colour, "width": 2},
        marker={"symbol": style.symbol(steps.label), "size": 8, "color": colour},
        error_y={"type": "data", "array": shown.tolist(), "thickness": 1, "width": 0},
        meta={"run": steps.run_id, "role": "means"}, **axes,
    )  # fmt: skip


def _error(values: Floats) -> float:
    return Sample.from_values(values).standard_error if np.isfinite(values).all() else np.nan


def _usual(rate: float, reach: float, axes: dict[str, str]) -> Any:
    return go.Scatter(
        x=[rate, rate], y=[-reach, reach], mode="lines", name="the run's own learning rate",
        legendgroup="usual", line={"color": "#808080", "width": 2,
        "dash": "dot"}, text=[f"the run's own learning rate {rate:.3g}"] * 2,
        hovertemplate="%{text}<extra></extra>", **axes,
    )  # fmt: skip


def _best(
    steps: OneStepDraws, best: float, decrease: float, colour: str, axes: dict[str, str]
) -> Any:
    return go.Scatter(
        x=[best], y=[-decrease], mode="markers", name="best rate, expected decrease",
        legendgroup="best",
        text=[f"{hover_head(steps.name(False))}<br>{_best_words(steps)}"],
        hovertemplate="%{text}<extra></extra>",
        marker={"symbol": "star", "size": 15, "color": colour,
                "line": {"width": 1, "color": "#808080"}},
        meta={"run": steps.run_id, "role": "best", "label": steps.label}, **axes,
    )  # fmt: skip


def _best_words(steps: OneStepDraws) -> str:
    if steps.best is None or steps.decrease is None:
        return f"no best rate: {steps.obstacle}"
    spread = "" if steps.decrease_se is None else f" ± {steps.decrease_se:.2g}"
    return f"best η {steps.best:.3g}, expected decrease {steps.decrease:.3g}{spread}"


def _heading(steps: OneStepDraws, several: bool) -> str:
    return f"{hover_head(steps.name(several))}<br>{_best_words(steps)}"


def _not_finite(steps: OneStepDraws, name: str) -> str:
    """A sentence on the rate from which on losses are not finite; "" if all are finite."""
    lost = {rate: int((~np.isfinite(v)).sum()) for rate, v in steps.changes.items()}
    first = next((rate for rate, count in lost.items() if count), None)
    if first is None:
        return ""
    return (
        f"{name}: from η = {first:.3g} on steps end in a loss that is not finite "
        f"({sum(lost.values()):,} in all); no mean is drawn there"
    )
