"""Depth utility: the change of the loss when only the layers up to a stage are updated."""

from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, estimators, layers
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, style
from backend.figures.drawing.text import full_name, hover_head, line_name, plain
from backend.figures.info import Chart, FigureInfo, Place
from estimators.statistics.formatting import short
from estimators.statistics.student import Sample

DEPTH, RATE = "what_if/depth", "what_if/depth_rate"
INFO = FigureInfo(
    title="Depth utility",
    help="The change of the loss on the checkpoint's batch when only the layers up to each stage "
    "are updated by −η ĝ, at the run's own learning rate: the mean of the draws with its standard "
    "error. The last point is a whole step.",
    reading="Where a line is flat, updating that stage as well does not lower the loss: its "
    "alignment has no use. Where it rises, the update of that stage does harm.",
    parameters=("runs", "estimator"),
    charts=(Chart("depth-utility", (Place("one_step", "what-if", 25),)),),
)


class Utility(NamedTuple):
    """The changes of one estimator, stage by stage."""

    run_id: str
    label: str
    rate: float
    changes: dict[str, Floats]


def figure(source: Source, query: Query) -> go.Figure:
    """A line for each estimator, from the first stage to the last."""
    several = len(query.runs) > 1
    utilities = [
        utility
        for run_id in query.runs
        for label in estimators(source.run(run_id))
        if query.estimator in ("", label) and (utility := _read(source, run_id, label)).changes
    ]
    names = list(dict.fromkeys(stage for each in utilities for stage in each.changes))
    marks = style.symbols(each.label for each in utilities)
    shown = utilities[:TRACES]
    draws = sum(len(values) for each in shown for values in each.changes.values())
    tally = canvas.Tally(draws, draws)
    for each in shown:
        tally.say(_left_out(each))
    if shown:
        rates = ", ".join(dict.fromkeys(f"{each.rate:.3g}" for each in shown))
        tally.say(
            f"mean of the draws ± 1 standard error, at η = {rates}; plain steps on the "
            "checkpoint's batch; below 0 the loss falls"
        )
    return canvas.finish(
        [_trace(source, each, marks[each.label], several) for each in shown],
        tally,
        title=INFO.title,
        xaxis=canvas.axis("layers updated, up to", **canvas.layer_axis(names)),
        yaxis=canvas.axis("change of the loss"),
    )


def _read(source: Source, run_id: str, label: str) -> Utility:
    run = source.run(run_id)
    ids = {
        (s.metric, s.layer): s.id
        for s in source.series(run_id)
        if s.count and s.estimator == label and s.metric in (DEPTH, RATE)
    }
    order = layers(source, run, run_id, DEPTH, "stage") or [layer for _, layer in ids if layer]
    changes = {
        stage: values[~np.isnan(values)]
        for stage in order
        if (DEPTH, stage) in ids
        for values in [source.points(ids[DEPTH, stage]).values]
    }
    rate = source.points(ids[RATE, ""]).values[-1] if (RATE, "") in ids else np.nan
    return Utility(run_id, label, float(rate), {s: v for s, v in changes.items() if len(v)})


def _left_out(utility: Utility) -> str:
    """A sentence on stages after whose update a loss is not finite; "" if there is none."""
    bad = [stage for stage, values in utility.changes.items() if np.isinf(values).any()]
    if not bad:
        return ""
    return f"{utility.label}: from {bad[0]} on, a step ends in a loss that is not finite"


def _trace(source: Source, utility: Utility, symbol: str, several: bool) -> Any:
    run = source.run(utility.run_id)
    samples = [
        Sample.from_values(v) if np.isfinite(v).all() else None for v in utility.changes.values()
    ]
    means = np.array([sample.mean if sample else np.nan for sample in samples])
    errors = np.array([sample.standard_error if sample else np.nan for sample in samples])
    colour = style.colour(utility.label)
    whole = full_name(utility.label)
    text = [
        f"{hover_head(whole)}<br>up to {plain(stage)}: {short(mean)}"
        + (f" ± {error:.2g} (standard error)" if np.isfinite(error) else "")
        + f"<br>the loss falls in {(values < 0).mean():.0%} of {len(values):,} steps"
        for (stage, values), mean, error in zip(
            utility.changes.items(), means.tolist(), errors.tolist(), strict=True
        )
    ]
    return go.Scatter(
        x=[plain(stage) for stage in utility.changes], y=canvas.numbers(means), text=text,
        name=line_name(utility.label, run.number, run.name, several=several),
        mode="lines+markers", line={"color": colour, "width": 2},
        marker={"symbol": symbol, "size": 7, "color": colour},
        error_y={"type": "data", "array": canvas.numbers(np.nan_to_num(errors)), "thickness": 1,
                 "width": 3},
        hovertemplate="%{text}<extra></extra>", meta={"run": utility.run_id, "full": whole},
    )  # fmt: skip
