"""Whether an estimator is biased: a verdict for each layer, with its measured error rate."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from backend.figures.data import draws
from backend.figures.data.query import Query
from backend.figures.data.select import estimators, layers
from backend.figures.data.source import RunLike, Source
from backend.figures.drawing import canvas, marks, style
from backend.figures.drawing.text import clipped, run_name
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.reference import Reference
from backend.figures.words import microscope as words_of
from estimators.statistics.formatting import upper_bound
from estimators.statistics.reference import HATCH, ROUNDED

INFO = FigureInfo(
    title="Verdict on bias",
    help="Whether the mean of the draws is the gradient that is estimated. The verdict looks at "
    "the mean error along the gradient and along 8 random directions in each tensor, and at the "
    "squared bias; one threshold serves all layers. A ring: no bias found, with the bound that "
    "the relative bias along the gradient is below. A cross: biased.",
    reading="A ring bounds the bias and does not prove that there is none; a cross is a bias.",
    parameters=("runs", "estimator", "level"),
    charts=(Chart("verdict", (Place("draws", "layers", 10),), follows=("verdict/*",)),),
)
FALSE_VERDICTS = (35, 960)
"""How many unbiased estimators are called biased in any layer, of how many verdicts:
docs/measurement/calibration.md."""
MIN_DRAWS, MAX_DRAWS = 512, 10_000
"""Draws of a verdict."""
SHOWN = 3
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
KINDS = {
    "clean": marks.Kind("no bias found, and its bound", "circle-open", style.BLUE),
    "biased": marks.Kind("biased, and its size along g", "x", style.VERMILION),
    "across": marks.Kind("biased across g", "x-open", style.VERMILION),
    "unknown": marks.Kind("not known", "diamond-open", style.GREY),
    "dead": marks.Kind("the exact gradient is 0", "circle-x-open", style.GREY),
    "no reference": marks.Kind(f"{HATCH} {ROUNDED}", "hash-open", style.GREY),
}


class LayerVerdict(NamedTuple):
    """The verdict on one layer."""

    layer: str
    kind: str
    bias: float
    bound: float


class EstimatorVerdict(NamedTuple):
    """The verdicts on one estimator."""

    label: str
    draws: int
    target: bool
    """Whether it is compared with a target of its own instead of the exact gradient."""
    rows: list[LayerVerdict]


def figure(source: Source, query: Query) -> go.Figure:
    """Judge every estimator of the first run named: the network, then each stage or tensor."""
    run_id = query.runs[0]
    run = source.run(run_id)
    rows = ["", *layers(source, run, run_id, "verdict/biased", query.level)]
    estimator_verdicts = [
        _judged(source, run_id, label, rows)
        for label in estimators(run)
        if not query.estimator or label == query.estimator
    ]
    judged = [verdict for verdict in estimator_verdicts if verdict.rows]
    count = sum(len(verdict.rows) for verdict in judged)
    tally = canvas.Tally(count, count)
    for words in sentences(judged):
        tally.say(words)
    for verdict in judged:
        tally.warn(draws.not_finite(source, run_id, verdict.label))
    waiting = [verdict.label for verdict in estimator_verdicts if not verdict.rows]
    tally.say(_missing(run, waiting) if waiting else "")
    tally.say(_error_rates() if judged else "")
    said = {v.label: [(row.layer, row.kind) for row in v.rows] for v in judged}
    tally.conclude(words_of.bias_verdicts(said))
    cells = [_mark(verdict, row) for verdict in judged for row in verdict.rows]
    layout: dict[str, Any] = {"height": 200}
    if judged:
        layout = marks.layout(rows, [verdict.label for verdict in judged])
    return canvas.finish(
        marks.traces(KINDS, cells),
        tally,
        title=f"{INFO.title} by {query.level}",
        below=[run_name(run.number, run.name)],
        **layout,
    )


def _judged(source: Source, run_id: str, label: str, rows: Sequence[str]) -> EstimatorVerdict:
    series = {
        (s.metric, s.layer): s.id
        for s in source.series(run_id)
        if s.count and s.estimator in ("", label) and s.layer in rows
    }

    def newest(metric: str, layer: str) -> float:
        series_id = series.get((metric, layer))
        return float(source.points(series_id).values[-1]) if series_id else math.nan

    judged_rows = [row for row in rows if ("verdict/biased", row) in series]
    exact = Reference(source, run_id)
    verdicts = [
        _layer_verdict(
            layer,
            *(newest(name, layer) for name in _READ),
            rounded=exact.rounded_now(layer),
        )
        for layer in judged_rows
    ]
    draws_made = (
        int(source.points(series["verdict/biased", judged_rows[0]]).steps[-1]) if judged_rows else 0
    )
    return EstimatorVerdict(label, draws_made, newest("verdict/target", "") == 1, verdicts)


_READ = ("verdict/biased", "verdict/bias", "verdict/bound", "exact/norm")


def _layer_verdict(
    layer: str, biased: float, bias: float, bound: float, norm: float, *, rounded: bool
) -> LayerVerdict:
    if rounded:
        kind = "no reference"
    elif norm == 0:
        kind = "dead"
    elif math.isnan(biased):
        kind = "unknown"
    elif not biased:
        kind = "clean"
    else:
        # The bound is |bias| and what the draws leave open of it.
        kind = "biased" if abs(bias) >= bound - abs(bias) else "across"
    return LayerVerdict(layer, kind, bias, bound)


def _mark(verdict: EstimatorVerdict, row: LayerVerdict) -> marks.Mark:
    words = {
        "clean": f"< {bounded(row.bound)}",
        "biased": signed(row.bias),
        "across": "across",
        "unknown": "?",
        "dead": "",
        "no reference": "",
    }[row.kind]
    return marks.Mark(
        row.layer, verdict.label, row.kind, words, f"{verdict.label}: {_sentence(row, verdict)}"
    )


def _sentence(row: LayerVerdict, verdict: EstimatorVerdict) -> str:
    """The verdict on one layer as a sentence."""
    after_draws = f", {verdict.draws:,} draws"
    half = row.bound - abs(row.bias)
    return {
        "clean": f"no bias found: relative bias along g < {bounded(row.bound)}{after_draws}",
        "biased": f"biased: {signed(row.bias)} ± {half:.2g} of the gradient along it{after_draws}",
        "across": f"biased across the gradient, not along it "
        f"({signed(row.bias)} ± {half:.2g}){after_draws}",
        "unknown": f"not known: too few of its {verdict.draws:,} draws are finite "
        f"(a verdict takes {MIN_DRAWS})",
        "dead": "the exact gradient is zero here: no verdict",
        "no reference": f"{ROUNDED} here: no verdict",
    }[row.kind]


def sentences(judged: Sequence[EstimatorVerdict]) -> list[str]:
    """Sentences on the estimators, each over all of its layers."""
    clean = [
        verdict
        for verdict in judged
        if verdict.rows[0].kind == "clean" and not _biased_rows(verdict)
    ]
    biased = [verdict for verdict in judged if _biased_rows(verdict)]
    rest = [verdict for verdict in judged if verdict not in clean and verdict not in biased]
    bounds = [
        f"{clipped(verdict.label)} (relative bias along g < {bounded(verdict.rows[0].bound)})"
        for verdict in clean
    ]
    return [
        f"no bias found: {', '.join(bounds)}" if clean else "",
        f"biased: {', '.join(map(_bias_words, biased))}" if biased else "",
        *(f"{clipped(verdict.label)}: {_sentence(verdict.rows[0], verdict)}" for verdict in rest),
        f"{judged[0].draws:,} draws, compared with {_against(judged)}" if judged else "",
    ]


def _biased_rows(verdict: EstimatorVerdict) -> list[LayerVerdict]:
    return [row for row in verdict.rows if row.kind in ("biased", "across")]


def _bias_words(verdict: EstimatorVerdict) -> str:
    """How an estimator is biased, and where."""
    whole, parts = verdict.rows[0], [row for row in verdict.rows if row.layer]
    half = whole.bound - abs(whole.bias)
    size = f"{signed(whole.bias)} along g" + (f" ± {half:.2g}" if half > 1e-3 else "")
    biased_layers = [row for row in _biased_rows(verdict) if row.layer]
    if not parts or len(biased_layers) == len(parts):
        return f"{clipped(verdict.label)} ({size}, in every layer)"
    names = ", ".join(clipped(row.layer) for row in biased_layers[:SHOWN])
    more = f" and {len(biased_layers) - SHOWN} more" if len(biased_layers) > SHOWN else ""
    share = f"in {len(biased_layers)} of {len(parts)} layers"
    return f"{clipped(verdict.label)} ({size}; {share}: {names}{more})"


def _against(judged: Sequence[EstimatorVerdict]) -> str:
    own_target = [clipped(verdict.label) for verdict in judged if verdict.target]
    if not own_target:
        return "the exact gradient"
    return f"the exact gradient, {', '.join(own_target)} against a target of its own"


def _missing(run: RunLike, waiting: Sequence[str]) -> str:
    """Why there is no verdict, or not yet."""
    names = ", ".join(clipped(label) for label in waiting[:SHOWN])
    names += f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else ""
    if not draws.is_microscope(run):
        return f"no verdict on {names}: only a microscope's draws are judged"
    microscope = run.config["microscope"]
    if microscope.get("sweep"):
        return f"no verdict on {names}: a sweep keeps no draws to judge"
    draws_made = int(microscope["draws"])
    if draws_made < MIN_DRAWS:
        return (
            f"no verdict: one takes at least {MIN_DRAWS} draws, "
            f"{MIN_DRAWS - draws_made:,} more than these"
        )
    if draws_made > MAX_DRAWS:
        return f"no verdict: one takes at most {MAX_DRAWS:,} draws, these are {draws_made:,}"
    return f"no verdict on {names} yet: it comes with the last of {draws_made:,} draws"


def _error_rates() -> str:
    false, total = FALSE_VERDICTS
    return (
        "the bounds hold for all layers at once, at 96 %; an unbiased estimator is called biased "
        f"in some layer in {100 * false / total:.1f} % of verdicts (measured: {false} of {total})"
    )


def bounded(bound: float) -> str:
    """A bound in two digits, rounded up, so that the stated bound holds."""
    if not 0 < bound < math.inf:
        return f"{bound:g}"
    if bound < 1e-3:  # of the size of rounding: its power of ten is enough
        return f"10{str(math.ceil(math.log10(bound))).translate(SUPERSCRIPT)}"
    return upper_bound(bound)


def signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")
