"""A measure against one field's values, on log axes, with the law's and the predicted slope."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import draws, errors, law_suspects, predicted, sweep
from backend.figures.data.metrics import Metric, metric
from backend.figures.data.query import Query
from backend.figures.data.source import Source
from backend.figures.data.sweep import Curve
from backend.figures.drawing import canvas, hover, style
from backend.figures.drawing.canvas import Tally
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, plain
from backend.figures.info import Chart, FigureInfo, Pick, Place
from estimators.statistics.law_check import BIAS, LAW, RECORD, VARIANCE, LawCheck, check_measure
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
    takeaway="On log axes a power law is a straight line; compare its slope, told below with its "
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
    drawn = {one.key for one in curves if not one.law}
    marks = style.symbols(one.line.label for one in curves)
    traces = [
        _trace(one, scale, across, what, marks[one.line.label], several=several) for one in curves
    ]
    for one, trace in zip(curves, traces, strict=True):
        trace.showlegend = not one.law or one.key not in drawn
    if across["type"] == "log":
        traces += predicted.slopes(bare, curves, scale, tally, query)
    tally.say(exact)
    tally.say(draws.how(source, [one.key for one in curves if not one.law]))
    _say(curves, _checks(source, query, bare, curves), tally)
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
    fields = dict.fromkeys(sweep.called(sweep.field(one.line)) for one in curves)
    return plain(clipped(", ".join(fields)))


def _vertical(what: Metric, query: Query, curves: Sequence[Curve]) -> Scale:
    """By decades, wherever all values are positive."""
    y = np.concatenate([one.y for one in curves]) if curves else np.empty(0)
    if query.scale == "linear":
        return Scale("linear")
    if query.scale == "asinh":
        return choose("signed", y)
    return choose("log" if (y > 0).all() else what.scaling, y)


def _not_exact(curves: list[Curve]) -> tuple[list[Curve], str]:
    """Without those estimators that have no error, for which a log axis has no place."""
    wrong = {one.key for one in curves if (np.abs(one.y) > NOTHING).any()}
    exact = dict.fromkeys(one.line.label for one in curves if one.key not in wrong)
    if not wrong or not exact:
        return curves, ""
    said = f"{', '.join(map(clipped, exact))}: exact, no error to draw"
    return [one for one in curves if one.key in wrong], said


def _horizontal(curves: Sequence[Curve], query: Query) -> dict[str, Any]:
    places = {x for one in curves for x in one.x}
    if query.against == "field":  # all that will be drawn, so that the axis stays as it is
        places |= {x for one in curves for x in sweep.asked(one.line)}
    if any(isinstance(x, str) for x in places):
        words = [str(x) for one in curves for x in one.x]
        if query.against == "field":
            words += [str(x) for one in curves for x in sweep.asked(one.line)]
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
    one: Curve, scale: Scale, across: dict[str, Any], what: Metric, symbol: str, *, several: bool
) -> go.Scatter:
    name, label = draws.name_of(one.line, several=several), one.line.label
    colour, apart = style.colour(label), across["type"] == "category" or len(one.x) == 1
    said = f"{hover.head(name)}<br>{'by the law: ' if one.law else ''}{what.short}"
    at = "%{text}" if any(isinstance(x, str) for x in one.x) else "%{x}"
    mark = "line-ew-open" if one.law else symbol
    trace = go.Scatter(
        x=one.x, y=canvas.numbers(scale.of(one.y)), customdata=canvas.numbers(one.y),
        name=f"{name}, law" if one.law else name, legendgroup=name,
        mode="markers" if apart else "lines" if one.law else "markers+lines",
        opacity=0.7 if one.law else 1,
        line={"color": colour, **({"width": 2, "dash": "dash"} if one.law else {"width": 1})},
        marker={"symbol": mark, "size": 18 if one.law else 9, "color": colour},
        hovertemplate=f"{said} %{{customdata:.4~g}} at {at}<extra></extra>",
        text=[plain(x) for x in one.x if isinstance(x, str)] or None,
        meta={"run": one.line.run_id},
    )  # fmt: skip
    if _banded(one):
        assert one.errors is not None
        trace.error_y = errors.bars(one.y, one.errors * half_width(_drawn(one)), scale)
    return trace


def _drawn(one: Curve) -> int:
    return int(one.line.run.config["microscope"].get("draws", 256))


def _banded(one: Curve) -> bool:
    """Whether a 95 % interval keeps its word at so many draws."""
    few = one.line.series.metric == f"sweep/{BIAS}" and _drawn(one) < MIN_DRAWS_BIAS
    return one.errors is not None and not few


def _say(
    curves: Sequence[Curve], checks: dict[tuple[str, str], list[LawCheck]], tally: Tally
) -> None:
    """What the reader must know: laws that do not hold, bars, where the weights come from."""
    for one in curves:
        if not one.law and one.key in checks:
            tally.say(_disagreement(one, checks[one.key]))
    if any(one.law for one in curves):
        tally.say("dashed: the law")
    if any(_banded(one) for one in curves):
        tally.say("bars: 95 % intervals")
    if any(sweep.field(one.line).startswith(sweep.NETWORK) for one in curves):
        tally.say("every network at its initialisation")
    for run_id, line in {one.line.run_id: one.line for one in curves}.items():
        made = {s for one in curves if one.line.run_id == run_id for s in one.x}
        if len(made) < len(sweep.values(line)):
            tally.say(f"{len(made)} of {len(sweep.values(line))} values")


def _checks(
    source: Source, query: Query, name: str, curves: Sequence[Curve]
) -> dict[tuple[str, str], list[LawCheck]]:
    """A law check of each point of each measured curve that has a law."""
    columns: dict[str, dict[tuple[str, str], Curve]] = {}
    for metric_name in dict.fromkeys((name, VARIANCE, RECORD + name)):
        for one in sweep.read(source, query, metric_name, Tally()):
            columns.setdefault(f"{LAW if one.law else ''}{metric_name}", {})[one.key] = one
    measured = [one for one in curves if not one.law and one.key in columns.get(LAW + name, {})]
    return {one.key: _check_curve(one, name, columns) for one in measured}


def _check_curve(
    one: Curve, name: str, columns: dict[str, dict[tuple[str, str], Curve]]
) -> list[LawCheck]:
    known = {
        column: predicted.beside(one, by_key[one.key]).tolist()
        for column, by_key in columns.items()
        if one.key in by_key
    }
    if one.errors is not None:
        known[f"{name}_se"] = one.errors.tolist()
    rows = zip(*known.values(), strict=True)
    return [check_measure(name, dict(zip(known, row, strict=True)), _drawn(one)) for row in rows]


def _disagreement(one: Curve, checks: list[LawCheck]) -> str:
    """Where draws and law disagree most; "" where they do not."""
    wrong = [at for at, check in enumerate(checks) if check.verdict == "disagrees"]
    if not wrong:
        return ""
    refuted = [at for at in wrong if checks[at].reason]
    if refuted:
        worst = max(refuted, key=lambda at: abs(one.y[at]))
        how = checks[worst].reason
    else:
        worst = max(wrong, key=lambda at: np.nan_to_num(abs(checks[at].errors)))
        how = f"{_signed(checks[worst].errors)} s.e."
    where = one.x[worst] if isinstance(one.x[worst], str) else f"{one.x[worst]:g}"
    cause = law_suspects.of(one.line.run, one.line.label)
    return f"{clipped(one.line.label)} disagrees with its law at {where} ({how}: {cause})"


def _signed(gap: float) -> str:
    return f"{gap:+.{0 if abs(gap) >= 10 else 1}f}".replace("-", "−")
