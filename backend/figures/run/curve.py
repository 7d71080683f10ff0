"""One metric at one layer over the run, for several runs and all their estimators."""

from typing import Any, NamedTuple

import plotly.graph_objects as go

from backend.figures.data import (
    cautions,
    law_checks,
    laws,
    progress,
    standard_errors,
    window,
)
from backend.figures.data.metrics import SPLITS, Metric, Scaling, metric, split_of
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, Line, draws_of, lines
from backend.figures.data.smooth import smoothed
from backend.figures.data.source import Floats, Source
from backend.figures.data.window import Window
from backend.figures.drawing import canvas, edge, fit, hatch, run_events, style, switches
from backend.figures.drawing.names import numbered, remember
from backend.figures.drawing.scales import Scale
from backend.figures.drawing.text import clipped, full_name, hover_point, line_name, plain, run_name
from backend.figures.findings.marks import signals
from backend.figures.info import Chart, Condition, FigureInfo, Pick, Place
from backend.figures.reference import Null, Reference
from backend.figures.summary import takeaways as summary
from backend.figures.words import losses
from backend.figures.words import theory as of_theory


def _of_parts(
    key: str,
    kind: str,
    order: int,
    title: str,
    help: str,
    reading: str,
    first_look: tuple[int, int] = (70, 4),
    **more: Any,
) -> Chart:
    """A metric of the training, validation and test parts; `first_look`: order and span there."""
    metrics = ",".join(f"{part}/{kind}" for part in SPLITS)
    return Chart(
        key,
        (Place("run", "training", order), Place("overview", "overview", *first_look)),
        title, help, reading,
        {"metric": metrics, "layer": "", **more.pop("asks", {"scale": ""})},
        follows=("{metric}",), size="small", **more,
    )  # fmt: skip


def _of_measure(name: str, order: int, title: str, help: str, reading: str, *more: Place) -> Chart:
    """A measure of every estimator."""
    return Chart(
        name.replace("_", "-"), (Place("run", "measures", order), *more), title, help, reading,
        {"metric": name}, follows=("{metric}",), size="small", shares_legend=True,
        menus={"layer": ()},
    )  # fmt: skip


INFO = FigureInfo(
    title="Curve",
    help="One metric at one layer over the run. Every run and every estimator has a line of its "
    "own. No line is smoothed unless the reader asks, and then the note says how.",
    reading="Compare the lines where they are flat: that is where the runs or estimators end up.",
    parameters=(
        "runs", "metric", "layer", "estimator", "x", "scale", "smooth", "max", "first", "last",
        "left", "right",
    ),
    charts=(
        _of_parts(
            "loss", "loss", 10, "Loss",
            "The loss in nats: of each training batch before its step, of the validation part, "
            "and at the end of the test part.",
            "Lower is better; a validation loss that rises while the training loss falls is "
            "overfitting.",
            first_look=(20, 4), colours_runs=True, together={"metric": "train/loss"}, asks={},
            picks=(Pick("scale", own=True), Pick("smooth", own=True)),
        ),
        _of_parts(
            "accuracy", "accuracy", 20, "Accuracy",
            "The fraction of examples that are classified correctly: of each training batch, of "
            "the validation part, and at the end of the test part.",
            "Higher is better; compare methods by the test part, at the end.",
            first_look=(45, 3), unless=Condition("dataset.name", "surface"),
            together={"metric": "validation/accuracy"},
        ),
        _of_parts(
            "readout-accuracy", "readout_accuracy", 30, "Accuracy of a linear readout",
            "The fraction of examples that a ridge regression on the frozen input of the last "
            "linear map classifies correctly. It is fitted on the training part, its penalty is "
            "chosen on the validation part, and the test part is reported at the end.",
            "Higher is better: the features separate the classes by a linear map.",
            only=Condition("loss.name", "info_nce"),
        ),
        _of_parts(
            "own-view", "own_view", 40, "Own view found",
            "The fraction of views whose nearest of all other views in the batch is the other "
            "view of the same example.",
            "Higher is better: 1 means that every view finds its example.",
            only=Condition("loss.name", "info_nce"),
        ),
        _of_parts(
            "bits-per-token", "bits_per_token", 50, "Bits per token",
            "The loss of a language model in bits: the mean of −log₂ of the probability that it "
            "gave to the token that came.",
            "Lower is better; log₂ of the size of the vocabulary is a guess without knowledge.",
            only=Condition("network.name", "gpt"),
        ),
        _of_measure(
            "cosine", 10, "Alignment (cosine)",
            "Mean over the draws of ⟨ĝ, g⟩ / (‖ĝ‖‖g‖): how well one estimate points along the "
            "exact gradient. Dotted: the null band, what chance gives; hatched: the exact gradient "
            "is below ten times its own rounding error.",
            "1 is along the exact gradient, 0 is orthogonal to it, below 0 is against it; within "
            "the dotted band it may be chance.",
            Place("overview", "overview", 10, span=5),
        ),
        _of_measure(
            "scaled_error", 20, "Scaled error",
            "min over c of E‖cĝ − g‖² / ‖g‖²: the error that is left when the learning rate has "
            "absorbed the scale.",
            "0 is exact; 1 is no better than no gradient at all.",
        ),
        _of_measure(
            "relative_variance", 30, "Relative variance",
            "tr S / ‖g‖² of one draw: how much the estimates scatter about their own mean.",
            "Lower is better; the mean of K draws has a K-th of it.",
        ),
        _of_measure(
            "relative_squared_bias", 40, "Relative squared bias",
            "(‖ḡ − g‖² − tr S / K) / ‖g‖²: how far the mean of the draws is off, corrected for "
            "the noise of that mean.",
            "About 0, on either side, for an unbiased estimator; averaging does not lower a bias.",
        ),
        _of_measure(
            "norm_ratio", 50, "Norm ratio",
            "Mean of ‖ĝ‖ / ‖g‖: how much longer an estimate is than the exact gradient.",
            "Far above 1 the learning rate must be smaller than for the exact gradient.",
        ),
    ),
)  # fmt: skip
MARKERS = {"train": None, "validation": "circle-open", "test": "diamond-open"}


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the metrics named (`train/loss` by default; several share the axis)."""
    names = query.metrics or ("train/loss",)
    words = [metric(name) for name in names]
    matches = lines(source, query, names)
    kept = matches[:TRACES]
    points = [window.read(source, line.run_id, line.series.id, query) for line in kept]
    tally = canvas.Tally(zoomed=window.is_zoomed(query))
    for series_points in points:
        tally.add_window(series_points)
    if len(matches) > TRACES:
        tally.say(f"{TRACES} of {len(matches)} lines: choose fewer runs or one estimator")
    fitted = _fit(words[0].scaling, query.scale, kept, points)
    tally.say(fitted.note)
    drawn, words_on_means = smoothed(
        source, [line.series.id for line in kept], points, query.smooth
    )
    tally.say(words_on_means)
    traces = _traces(source, query, kept, drawn, fitted)
    laws = _laws(source, query, kept, points, fitted, traces)
    traces += laws.traces
    tally.say(laws.note)
    tally.add_details(laws.details)
    beside = _beside(source, query, kept, points, fitted, traces)
    tally.say("dotted: what chance gives" if beside.note else "")
    tally.add_details(beside.note)
    traces += beside.traces
    edge.say_beyond(tally, ((k.run.number, p.values) for k, p in zip(kept, points, strict=True)),
                    fitted.span)  # fmt: skip
    for caution in cautions.of_lines(source, query, kept):
        tally.warn(caution)
    if any(trace.error_y.array is not None for trace in traces):
        tally.say("bars: 1 standard error")
        tally.add_details(standard_errors.NOTE)
    tally.conclude(_takeaway(source, query, kept, points))
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    return canvas.finish(
        [*traces, *run_events.marks(source, query, query.runs, signals(source, query, kept))],
        tally,
        title=words[0].title + where,
        xaxis=canvas.axis(progress.TITLES[query.x]),
        yaxis=canvas.axis(words[0].axis, **_within(words), **fitted.axis()),
        yaxis2=edge.AXIS,
        shapes=switches.shapes(source, query, query.runs),
    )


def _takeaway(source: Source, query: Query, kept: list[Line], points: list[Window]) -> str:
    """A sentence on the measure, or on the loss or accuracy, that is drawn."""
    name = query.metrics[0] if query.metrics else "train/loss"
    if not all(line.series.estimator for line in kept):
        pairs = zip(kept, points, strict=True)
        return losses.takeaway([losses.curve_of(source, k, p.steps, p.values) for k, p in pairs])
    return summary.of_measure(source, query, name, kept)


def _within(words: list[Metric]) -> dict[str, Any]:
    """Limits for the axis of a fraction: around a single point it would reach from −1 to 1."""
    fraction = all(each.fraction for each in words)
    # A little more, so that markers at the ends are whole.
    return {"autorangeoptions": {"clipmin": -0.03, "clipmax": 1.03}} if fraction else {}


def _traces(
    source: Source, query: Query, kept: list[Line], points: list[Window], fitted: fit.Fit
) -> list[Any]:
    scale, span = fitted.scale, list(fitted.span) if fitted.span else None
    drawn, odd, high = [], [], []
    marks = style.symbols(line.label for line in kept)
    for line, series_points in zip(kept, points, strict=True):
        x = progress.positions(source, line.run_id, line.run, series_points.steps, query.x)
        name = trace_name(line, several=len(query.runs) > 1)
        drawn.append(trace(line, x, series_points.values, scale, query.x, name))
        if query.smooth > 1:  # a new point would stand beside means
            drawn[-1].meta = {key: drawn[-1].meta[key] for key in ("run", "x", "full")}
        if span and "series" in drawn[-1].meta:
            # A value beyond it needs its mark, so that the figure has to be drawn anew.
            drawn[-1].meta = {**drawn[-1].meta, "span": span}
        if line.series.estimator:
            drawn[-1].marker.symbol = marks[line.label]
        if len(query.runs) > 1 and not line.series.estimator:
            # Runs often share a driver, and a dash is lost in the noise of a training loss.
            drawn[-1].line.color = style.run_colour(line.run_index)
        spread = (
            standard_errors.on_record(source, line, series_points)
            if scale.kind == "asinh"
            else None
        )
        if spread is not None:  # an asinh line is always drawn anew, so its bars never lag
            drawn[-1].error_y = standard_errors.bars(series_points.values, spread, scale)
        colour = drawn[-1].line.color
        odd += edge.not_finite(x, series_points.values, name, colour, query.x, not odd)
        if fitted.span:
            high += edge.beyond(
                x, series_points.values, fitted.span, name, colour, query.x, not high
            )
    return drawn + odd + high


class _Beside(NamedTuple):
    traces: list[Any]
    note: str


def _beside(
    source: Source,
    query: Query,
    kept: list[Line],
    points: list[Window],
    fitted: fit.Fit,
    drawn: list[Any],
) -> _Beside:
    """Nulls, and hatches over what compares with a gradient that is rounding."""
    exact = {run_id: Reference(source, run_id) for run_id in query.runs}
    marks: list[Any] = []
    bands: list[Any] = []
    nulls: list[Null] = []
    for line, series_points, like in zip(kept, points, drawn, strict=False):
        x = progress.positions(source, line.run_id, line.run, series_points.steps, query.x)
        bad = exact[line.run_id].rounded(line.series, series_points.steps)
        y = canvas.numbers(fitted.scale.positions(series_points.values[bad]))
        marks += hatch.marks(x[bad].tolist(), y, like.name, query.x, first=not marks)
        key = line.series.metric, line.label, line.series.layer
        nulls.append(exact[line.run_id].null(*key, series_points.steps, series_points.values))
        bands += hatch.null_band(x.tolist(), nulls[-1], fitted.scale, like, whole_name(line))
        if bad.any() or bands:  # a line that grows would leave its marks behind
            like.meta = {name: like.meta[name] for name in ("run", "x", "full")}
    words = [hatch.NULL_WORDS.get(line.series.metric, "") for line in kept]
    return _Beside(bands + marks, hatch.null_note(nulls, words[0]) if words else "")


class _Laws(NamedTuple):
    traces: list[Any]
    note: str
    details: str


def _laws(
    source: Source,
    query: Query,
    kept: list[Line],
    points: list[Window],
    fitted: fit.Fit,
    drawn: list[Any],
) -> _Laws:
    """A dashed line over each that has a law, and whether it agrees.

    Such a line does not grow but is drawn anew, since its law check depends on every point.
    """
    checks, traces, wrong = [], [], []
    exact = {run_id: Reference(source, run_id) for run_id in query.runs}
    for line, series_points, like in zip(kept, points, drawn, strict=False):
        measure = line.series.metric
        if measure not in laws.PREDICTED:
            continue
        series, draws = laws.series_of(source, line), draws_of(line.run)
        law, check = law_checks.law_of(source, series, measure, series_points), law_checks.NO_LAW
        if law:
            check = law_checks.check_probes(
                source, exact[line.run_id], series, measure, law, series_points, draws
            )
        checks.append((like.name, check))
        if check.verdict == "disagrees":
            wrong.append((line.run, line.label))
        if law:
            ends = window.visible(source, line.run_id, line.run, query)
            keep = window.evenly(law.steps, query.max, ends)
            steps, values = law.steps[keep], law.values[keep]
            x = progress.positions(source, line.run_id, line.run, steps, query.x)
            like.meta = {name: like.meta[name] for name in ("run", "x", "full")}
            traces.append(
                law_checks.trace(x, values, fitted.scale, query.x, whole_name(line), like, measure)
            )
    cause = law_checks.likely_causes(wrong)
    note = of_theory.note([check for _, check in checks])
    return _Laws(traces, note, law_checks.words(checks, cause))


def _fit(scaling: Scaling, asked: str, kept: list[Line], points: list[Window]) -> fit.Fit:
    if kept and all(line.series.estimator for line in kept):
        number = min(line.run.number or 0 for line in kept)
        pairs = [*zip(kept, points, strict=True)]
        of_first = [p.values for line, p in pairs if (line.run.number or 0) == number]
        return fit.measures(scaling, asked, [p.values for p in points], of_first)
    by_run: dict[int, list[Floats]] = {}
    for line, series_points in zip(kept, points, strict=True):
        by_run.setdefault(line.place, []).append(series_points.values)
    return fit.runs(scaling, asked, by_run)


def trace_name(line: Line, *, several: bool) -> str:
    """The legend's words: the split or estimator, and the run where there are several."""
    run = line.run
    if line.series.estimator:
        return line_name(line.series.estimator, run.number, run.name, several=several)
    shown, split = run_name(run.number, run.name), split_of(line.series.metric)
    if not split:
        return shown
    whole = f"{split} · {shown}"
    if not several:  # a legend says only what differs between the lines
        remember(whole, split)
    return whole


def whole_name(line: Line) -> str:
    """The same, whole: for hovers and titles."""
    first = line.series.estimator or split_of(line.series.metric)
    return full_name(first, numbered(line.run.number, line.run.name))


def trace(
    line: Line, x: Floats, values: Floats, scale: Scale, x_name: str, name: str
) -> go.Scatter:
    """One line; it can grow if its x is the step and its y is not transformed."""
    split = split_of(line.series.metric)
    symbol = MARKERS.get(split, style.symbol(line.label))
    # Log axes drop what is not positive; such a line must be fetched anew, not appended to.
    meta = {
        "series": line.series.id,
        "run": line.run_id,
        "x": x_name,
        "full": whole_name(line),
        "positive": scale.kind == "log",
    }
    grows, whole = x_name == "step" and scale.kind != "asinh", whole_name(line)
    return go.Scatter(
        x=x.tolist(),
        y=canvas.numbers(scale.positions(values)),
        customdata=canvas.numbers(values) if scale.kind == "asinh" else None,
        name=name,
        opacity=0.65 if split == "train" else 1,
        mode="lines+markers" if symbol and split != "train" else "lines",
        line={
            "color": style.colour(line.label),
            "dash": style.run_dash(line.run_index),
            "width": 1.2 if split == "train" else 2,
        },
        marker={"symbol": symbol, "size": 6, "maxdisplayed": 40},
        legendgroup=line.group,
        hovertemplate=hover_point(
            whole,
            x_name,
            metric(line.series.metric),
            "customdata" if scale.kind == "asinh" else "y",
        ),
        meta=meta if grows else {name: meta[name] for name in ("run", "x", "full")},
    )
