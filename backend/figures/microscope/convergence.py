"""What averaging buys: the error of the mean of K draws, measured and by the law."""

from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import draws, law_checks, laws
from backend.figures.data.metrics import Metric
from backend.figures.data.query import Query
from backend.figures.data.select import Line, lines
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, hatch, style
from backend.figures.drawing.scales import choose
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.reference import Reference
from backend.figures.words import microscope as words_of

INFO = FigureInfo(
    title="Error of the mean against K",
    help="K draws averaged: how far their mean is from the exact gradient, squared. Dashed: "
    "predicted from one draw, by the law where a law is known.",
    reading="Noise falls like 1 / K, a straight line of slope −1; a bias stays, and the line "
    "bends into it.",
    parameters=("runs", "layer", "estimator"),
    charts=(Chart("convergence", (Place("draws", "read", 10),)),),
)
SPREAD, BIAS, ERROR = "relative_variance", "relative_squared_bias", "relative_mse"
WORDS = Metric(
    "Error of the mean", "relative squared error<br>of the mean of K draws, ‖ḡ − g‖² / ‖g‖²", "log"
)


class Mean(NamedTuple):
    """The measured error of the means of K = k draws, and what one draw predicts."""

    line: Line
    k: Floats
    error: Floats
    spread: float
    bias: float
    by_law: bool


def figure(source: Source, query: Query) -> go.Figure:
    """Draw every estimator's ‖ḡ_K − g‖² / ‖g‖² on log axes, with tr S / K + bias² dashed."""
    tally = canvas.Tally()
    means = [_mean(source, line) for line in lines(source, query, (SPREAD,)) if line.series.count]
    traces: list[Any] = []
    marks = style.symbols(mean.line.label for mean in means)
    for mean in means[: draws.PANELS]:
        tally.count += len(mean.k)
        tally.shown += len(mean.k)
        drawn = _lines(mean, len(query.runs) > 1, marks[mean.line.label], tally)
        if drawn and Reference(source, mean.line.run_id).rounded_now(query.layer):
            drawn += hatch.marks(drawn[0].x, drawn[0].y, drawn[0].name, first=not traces)
        traces += drawn
    tally.say(draws.how(source, [mean.line.key for mean in means[: draws.PANELS] if len(mean.k)]))
    tally.say("each point is one mean of K draws; a slope of −1 is noise that averages out")
    tally.say(_dashes(means))
    tally.say(_checks(source, means))
    tally.conclude(words_of.averages({
        mean.line.label: (float(mean.k[-1]), float(mean.error[-1])) for mean in means if len(mean.k)
    }))  # fmt: skip
    for gap in draws.gaps(source, query):
        tally.warn(gap)
    shown = [np.array(t.y, np.float64) for t in traces]
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    return canvas.finish(
        traces,
        tally,
        title=INFO.title + where,
        height=380,
        xaxis=canvas.axis("K, draws averaged", type="log", dtick=1, exponentformat="power"),
        yaxis=canvas.axis(
            WORDS.axis, **choose("log", np.concatenate(shown) if shown else np.empty(0)).axis()
        ),
    )


def _mean(source: Source, line: Line) -> Mean:
    series_ids = {
        s.metric: s.id
        for s in source.series(line.run_id)
        if (s.layer, s.estimator) == (line.series.layer, line.series.estimator)
    }
    if not draws.is_microscope(line.run) or BIAS not in series_ids:
        return Mean(line, np.empty(0), np.empty(0), np.nan, np.nan, by_law=False)
    spread, bias = source.points(line.series.id), source.points(series_ids[BIAS])
    k, here, there = np.intersect1d(spread.steps, bias.steps, return_indices=True)
    # ‖ḡ − g‖² is what the two say together: the squared bias is it less tr S / K.
    error = bias.values[there] + spread.values[here] / np.maximum(k, 1)
    at = k.astype(np.float64)
    if ERROR in series_ids and len(errors := source.points(series_ids[ERROR]).values):
        at, error = np.append(1.0, at), np.append(errors[-1], error)
    law = [draws.latest(source, line, f"law/{name}") for name in (SPREAD, BIAS)]
    if law[0] is not None:
        return Mean(line, at, error, law[0], law[1] or 0.0, by_law=True)
    last = (float(spread.values[-1]), float(max(bias.values[-1], 0.0)))
    return Mean(line, at, error, *last, by_law=False)


def _dashes(means: list[Mean]) -> str:
    drawn = [mean for mean in means if len(mean.k)]
    own = [clipped(mean.line.label) for mean in drawn if not mean.by_law]
    if not drawn or not own:
        return "dashed: by the law" if drawn else ""
    return f"dashed: by the law; without one ({', '.join(own[:4])}), from the measured draws"


def _checks(source: Source, means: list[Mean]) -> str:
    """Law checks of variance and bias of one draw, from which the law's curve is computed."""
    labels: dict[str, list[str]] = {}
    for mean in means:
        if len(mean.k) and mean.by_law:
            series = laws.series_of(source, mean.line)
            count = int(source.points(mean.line.series.id).steps[-1])
            exact = Reference(source, mean.line.run_id)
            verdicts = {
                law_checks.check_point(source, exact, series, name, count).verdict
                for name in (SPREAD, BIAS)
            }
            worst = next((v for v in ("disagrees", "not judged") if v in verdicts), "agrees")
            if worst == "disagrees":
                worst = law_checks.likely_cause(mean.line.run, mean.line.label)
            labels.setdefault(worst, []).append(clipped(mean.line.label))
    return "; ".join(f"{_TEXTS[v]} {', '.join(labels[v])}" for v in _TEXTS if v in labels)


_TEXTS = {
    "agrees": "✓ law agrees with",
    **{
        why: f"✗ law disagrees ({why}) with"
        for why in (law_checks.CODE_OR_ASSUMPTION, law_checks.LONG_STEP)
    },
    "not judged": "… law not judged of",
}


def _lines(mean: Mean, several: bool, mark: str, tally: canvas.Tally) -> list[Any]:
    if not len(mean.k):
        return []
    label, name = mean.line.label, draws.name_of(mean.line, several=several)
    good = np.isfinite(mean.error) & (mean.error > 0)
    if not good.all():
        why = "has means without an error above 0"
        if not np.isfinite(mean.error).any():
            why = "has no value"
        elif (mean.error == 0).any():
            why = "is exact: no error to draw"
        tally.say(f"{clipped(label)} {why}")
    if not good.any():
        return []
    colour, dash = style.colour(label), style.run_dash(mean.line.run_index)
    head = hover_head(mean.line.full_name(several=several))
    template = f"{head}<br>K = %{{x:,.0f}}<br>error %{{y:.4~g}}<extra></extra>"
    points = go.Scatter(
        x=mean.k[good].tolist(), y=mean.error[good].tolist(), name=name, mode="lines+markers",
        line={"color": colour, "width": 1.5, "dash": dash},
        marker={"symbol": mark, "size": 8, "color": colour},
        hovertemplate=template, meta={"run": mean.line.run_id}, legendgroup=mean.line.group,
    )  # fmt: skip
    k = np.geomspace(1, max(float(mean.k.max()), 10), 25)
    law = mean.spread / k + mean.bias
    if not (np.isfinite(law) & (law > 0)).all():
        return [points]
    return [points, _predicted(k, law, name, head, points)]


def _predicted(k: Floats, law: Floats, name: str, head: str, like: Any) -> go.Scatter:
    return go.Scatter(
        x=k.tolist(), y=law.tolist(), name=f"{name}, predicted", mode="lines",
        legendgroup=like.legendgroup, showlegend=False,
        line={"color": like.line.color, "width": 2, "dash": "dash"}, opacity=0.7,
        hovertemplate=f"{head}<br>predicted at K = %{{x:,.0f}}: %{{y:.4~g}}"
        "<extra></extra>",
    )  # fmt: skip
