"""A measure against one field's values, on log axes, with the law's and the predicted slope."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import cautions, draws, law_checks, standard_errors
from backend.figures.data.metrics import Metric, metric
from backend.figures.data.microscope import sweep
from backend.figures.data.microscope.sweep import Curve
from backend.figures.data.query import Query
from backend.figures.data.source import Source
from backend.figures.drawing import canvas, hatch, slope_guides, style
from backend.figures.drawing.canvas import Tally
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.info import Chart, FigureInfo, Pick, Place
from estimators.statistics.law_check import (
    BIAS,
    LAW,
    NO_REFERENCE,
    RECORD,
    VARIANCE,
    LawCheck,
    check_measure,
)
from estimators.statistics.student import half_width

OTHERS = (
    "relative_squared_bias", "cosine", "norm_ratio", "relative_mse", "snr",
)  # fmt: skip
"""Measures that the third chart can show."""


def _of_measure(key: str, order: int, title: str, metric: str) -> Chart:
    return Chart(
        key,
        (Place("sweep", "sweep", order),),
        title,
        asks={"metric": metric},
        follows=("sweep/{metric}", "sweep/law/{metric}"),
        size="tall",
        menus={"against": ()},
    )


INFO = FigureInfo(
    title="Sweep",
    help="A measure at each value of the varied field, with a 95 % interval; dashed: the law.",
    reading="On log axes a power law is a straight line; compare its slope, told below with its "
    "standard error, with the predicted slope.",
    parameters=("runs", "metric", "layer", "estimator", "against", "scale"),
    charts=(
        _of_measure("sweep-variance", 10, "Relative variance", "relative_variance"),
        _of_measure("sweep-error", 20, "Scaled error", "scaled_error"),
        Chart(
            "sweep",
            (Place("sweep", "sweep", 30),),
            "Another measure",
            picks=(Pick("metric", choices=OTHERS, own=True),),
            follows=("sweep/{metric}", "sweep/law/{metric}"),
            menus={"against": (), "metric": OTHERS},
        ),
    ),
)
MARKED = 8
"""Most values that have a tick each."""
SHORT = 24
"""Characters of a word below its tick."""
MIN_DRAWS_BIAS = 128
"""Fewest draws of an interval of the squared bias; its standard error is on record from 3 on."""
ERRORS, NOTHING = ("relative_variance", "relative_mse", "scaled_error"), 1e-9
"""Measures of which an exact estimator has none, and what is none but for rounding."""


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the first metric named (`relative_variance` by default) of a sweep."""
    bare = (query.metrics[0] if query.metrics else "relative_variance").removeprefix("sweep/")
    what, tally = metric(bare), Tally()
    curves = sweep.read(source, query, bare, tally)
    curves, exact = _not_exact(curves) if bare in ERRORS else (curves, "")
    scale, across = _vertical(what, query, curves), _horizontal(curves, query)
    several = len(query.runs) > 1
    drawn = {curve.key for curve in curves if not curve.law}
    marks = style.symbols(curve.line.label for curve in curves)
    traces = [
        _trace(curve, scale, across, what, marks[curve.line.label], several=several)
        for curve in curves
    ]
    for curve, trace in zip(curves, traces, strict=True):
        trace.showlegend = not curve.law or curve.key not in drawn
    if across["type"] == "log":
        traces += slope_guides.slopes(bare, curves, scale, tally, query)
    traces += _hatches(curves, traces)
    tally.say(exact)
    tally.say(draws.how(source, [curve.key for curve in curves if not curve.law]))
    _say(curves, _checks(source, query, bare, curves), tally)
    for caution in cautions.of_lines(source, query, [curve.line for curve in curves]):
        tally.warn(caution)
    names = _names(curves, query)
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    return canvas.finish(
        traces,
        tally,
        title=f"{what.title} against {names or 'a field'}{where}",
        height=380,
        xaxis=canvas.axis(names, tickangle=0, **across),
        yaxis=canvas.axis(what.axis, **scale.axis()),
    )


def _names(curves: Sequence[Curve], query: Query) -> str:
    if query.against == "parameters":
        return "parameters of the network, d"
    fields = dict.fromkeys(sweep.called(sweep.field(curve.line)) for curve in curves)
    return plain(clipped(", ".join(fields)))


def _vertical(what: Metric, query: Query, curves: Sequence[Curve]) -> Scale:
    """By decades, wherever all values are positive."""
    y = np.concatenate([curve.y for curve in curves]) if curves else np.empty(0)
    if query.scale == "linear":
        return Scale("linear")
    if query.scale == "asinh":
        return choose("signed", y)
    return choose("log" if (y > 0).all() else what.scaling, y)


def _not_exact(curves: list[Curve]) -> tuple[list[Curve], str]:
    """Without those estimators that have no error, for which a log axis has no place."""
    wrong = {curve.key for curve in curves if (np.abs(curve.y) > NOTHING).any()}
    exact = dict.fromkeys(curve.line.label for curve in curves if curve.key not in wrong)
    if not wrong or not exact:
        return curves, ""
    note = f"{', '.join(map(clipped, exact))}: exact, no error to draw"
    return [curve for curve in curves if curve.key in wrong], note


def _horizontal(curves: Sequence[Curve], query: Query) -> dict[str, Any]:
    places = {x for curve in curves for x in curve.x}
    if query.against == "field":  # all that will be drawn, so that the axis does not move
        places |= {x for curve in curves for x in sweep.asked(curve.line)}
    if any(isinstance(x, str) for x in places):
        words = [str(x) for curve in curves for x in curve.x]
        if query.against == "field":
            words += [str(x) for curve in curves for x in sweep.asked(curve.line)]
        words = list(dict.fromkeys(words))
        texts = [plain(clipped(word, SHORT)) for word in words]
        return {"type": "category", "tickmode": "array", "tickvals": words, "ticktext": texts}
    ticks = sorted(float(x) for x in places)
    kind: dict[str, Any] = {"type": "log" if all(x > 0 for x in ticks) else "linear"}
    if 0 < len(ticks) <= MARKED:
        texts = [f"{x:,.0f}" if x >= 1000 else f"{x:g}" for x in ticks]
        kind |= {"tickmode": "array", "tickvals": ticks, "ticktext": texts}
    if len(ticks) > 1:
        ends = (
            np.log10([ticks[0], ticks[-1]]) if kind["type"] == "log" else ticks[:: len(ticks) - 1]
        )
        pad = 0.06 * (ends[1] - ends[0])
        kind["range"] = [float(ends[0] - pad), float(ends[1] + pad)]
    return kind


def _trace(
    curve: Curve, scale: Scale, across: dict[str, Any], what: Metric, symbol: str, *, several: bool
) -> go.Scatter:
    name, label = draws.name_of(curve.line, several=several), curve.line.label
    colour, unconnected = style.colour(label), across["type"] == "category" or len(curve.x) == 1
    whole = curve.line.full_name(several=several)
    head = f"{hover_head(whole)}<br>{'by the law: ' if curve.law else ''}{what.short}"
    at = "%{text}" if any(isinstance(x, str) for x in curve.x) else "%{x}"
    mark = "line-ew-open" if curve.law else symbol
    trace = go.Scatter(
        x=curve.x, y=canvas.numbers(scale.positions(curve.y)), customdata=canvas.numbers(curve.y),
        name=f"{name}, law" if curve.law else name, legendgroup=curve.line.group,
        mode="markers" if unconnected else "lines" if curve.law else "markers+lines",
        opacity=0.7 if curve.law else 1,
        line={"color": colour, **({"width": 2, "dash": "dash"} if curve.law else {"width": 1})},
        marker={"symbol": mark, "size": 18 if curve.law else 9, "color": colour},
        hovertemplate=f"{head} %{{customdata:.4~g}} at {at}<extra></extra>",
        text=[plain(x) for x in curve.x if isinstance(x, str)] or None,
        meta={"run": curve.line.run_id, "full": whole},
    )  # fmt: skip
    if _banded(curve):
        assert curve.errors is not None
        trace.error_y = standard_errors.bars(
            curve.y, curve.errors * half_width(_drawn(curve)), scale
        )
    return trace


def _hatches(curves: Sequence[Curve], traces: Sequence[go.Scatter]) -> list[go.Scatter]:
    """Hatches over measured points that compare with a gradient that is rounding."""
    drawn: list[go.Scatter] = []
    for curve, trace in zip(curves, traces, strict=False):
        bad = np.flatnonzero(curve.hatched)
        if not curve.law:
            x, y = (np.asarray(values)[bad].tolist() for values in (trace.x, trace.y))
            drawn += hatch.marks(x, y, str(trace.name), first=not drawn)
    return drawn


def _drawn(curve: Curve) -> int:
    return int(curve.line.run.config["microscope"].get("draws", 256))


def _banded(curve: Curve) -> bool:
    """Whether a 95 % interval covers as it should at so many draws."""
    few = curve.line.series.metric == f"sweep/{BIAS}" and _drawn(curve) < MIN_DRAWS_BIAS
    return curve.errors is not None and not few


def _say(
    curves: Sequence[Curve], checks: dict[tuple[str, str], list[LawCheck]], tally: Tally
) -> None:
    """What the reader must know: laws that do not hold, bars, where the weights come from."""
    for curve in curves:
        if not curve.law and curve.key in checks:
            tally.say(_disagreement(curve, checks[curve.key]))
    if any(curve.law for curve in curves):
        tally.say("dashed: the law")
    if any(_banded(curve) for curve in curves):
        tally.say("bars: 95 % intervals")
    if any(sweep.field(curve.line).startswith(sweep.NETWORK) for curve in curves):
        tally.say("every network at its initialisation")
    for run_id, line in {curve.line.run_id: curve.line for curve in curves}.items():
        made = {s for curve in curves if curve.line.run_id == run_id for s in curve.x}
        if len(made) < len(sweep.values(line)):
            tally.say(f"{len(made)} of {len(sweep.values(line))} values")


def _checks(
    source: Source, query: Query, name: str, curves: Sequence[Curve]
) -> dict[tuple[str, str], list[LawCheck]]:
    """A law check of each point of each measured curve that has a law."""
    columns: dict[str, dict[tuple[str, str], Curve]] = {}
    for metric_name in dict.fromkeys((name, VARIANCE, RECORD + name)):
        for curve in sweep.read(source, query, metric_name, Tally()):
            columns.setdefault(f"{LAW if curve.law else ''}{metric_name}", {})[curve.key] = curve
    measured = [
        curve for curve in curves if not curve.law and curve.key in columns.get(LAW + name, {})
    ]
    return {curve.key: _check_curve(curve, name, columns) for curve in measured}


def _check_curve(
    curve: Curve, name: str, columns: dict[str, dict[tuple[str, str], Curve]]
) -> list[LawCheck]:
    values = {
        column: sweep.law_at_points(curve, by_key[curve.key]).tolist()
        for column, by_key in columns.items()
        if curve.key in by_key
    }
    if curve.errors is not None:
        values[f"{name}_se"] = curve.errors.tolist()
    rows = zip(*values.values(), strict=True)
    return [
        NO_REFERENCE
        if rounded
        else check_measure(name, dict(zip(values, row, strict=True)), _drawn(curve))
        for row, rounded in zip(rows, curve.hatched.tolist(), strict=True)
    ]


def _disagreement(curve: Curve, checks: list[LawCheck]) -> str:
    """Where draws and law disagree most; "" where they do not."""
    wrong = [at for at, check in enumerate(checks) if check.verdict == "disagrees"]
    if not wrong:
        return ""
    refuted = [at for at in wrong if checks[at].reason]
    if refuted:
        worst = max(refuted, key=lambda at: abs(curve.y[at]))
        how = checks[worst].reason
    else:
        worst = max(wrong, key=lambda at: np.nan_to_num(abs(checks[at].errors)))
        how = f"{_signed(checks[worst].errors)} standard errors"
    where = curve.x[worst] if isinstance(curve.x[worst], str) else f"{curve.x[worst]:g}"
    cause = law_checks.likely_cause(curve.line.run, curve.line.label)
    return f"{clipped(curve.line.label)} disagrees with its law at {where} ({how}: {cause})"


def _signed(gap: float) -> str:
    return f"{gap:+.{0 if abs(gap) >= 10 else 1}f}".replace("-", "−")
