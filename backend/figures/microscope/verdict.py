"""Is an estimator biased? A microscope's verdict for each layer, with how often it errs."""

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

INFO = FigureInfo(
    title="Verdict on bias",
    help="Whether the mean of the draws is the gradient that is estimated. The verdict looks at "
    "the mean error along the gradient and along 8 random directions in each tensor, and at the "
    "squared bias; one threshold serves all layers. A ring: no bias found, with the bound that "
    "the relative bias along the gradient is below. A cross: biased.",
    takeaway="A ring bounds the bias and does not prove that there is none; a cross is a bias.",
    parameters=("runs", "estimator", "level"),
    charts=(Chart("verdict", (Place("draws", "layers", 10),), follows=("verdict/*",)),),
)
CONVICTED = (35, 960)
"""Unbiased estimators convicted in any layer, of all verdicts: docs/measurement.md."""
LEAST, MOST = 512, 10_000
"""Draws of a verdict."""
SHOWN = 3
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
KINDS = {
    "clean": marks.Kind("no bias found, and its bound", "circle-open", style.BLUE),
    "biased": marks.Kind("biased, and its size along g", "x", style.VERMILION),
    "across": marks.Kind("biased across g", "x-open", style.VERMILION),
    "unknown": marks.Kind("not known", "diamond-open", style.GREY),
    "dead": marks.Kind("the exact gradient is 0", "circle-x-open", style.GREY),
}


class Told(NamedTuple):
    """The verdict on one layer."""

    layer: str
    kind: str
    bias: float
    bound: float


class Judged(NamedTuple):
    """The verdicts on one estimator."""

    label: str
    draws: int
    target: bool
    """Held against a target of its own instead of the exact gradient."""
    rows: list[Told]


def figure(source: Source, query: Query) -> go.Figure:
    """Judge every estimator of the first run named: the network, then each stage or tensor."""
    run_id = query.runs[0]
    run = source.run(run_id)
    rows = ["", *layers(source, run, run_id, "verdict/biased", query.level)]
    found = [
        _judged(source, run_id, label, rows)
        for label in estimators(run)
        if not query.estimator or label == query.estimator
    ]
    judged = [one for one in found if one.rows]
    count = sum(len(one.rows) for one in judged)
    tally = canvas.Tally(count, count)
    for said in sentences(judged):
        tally.say(said)
    for one in judged:
        tally.say(draws.not_finite(source, run_id, one.label))
    waiting = [one.label for one in found if not one.rows]
    tally.say(_missing(run, waiting) if waiting else "")
    tally.say(_how() if judged else "")
    cells = [_mark(one, told) for one in judged for told in one.rows]
    layout: dict[str, Any] = {"height": 200}
    if judged:
        layout = marks.layout(rows, [one.label for one in judged])
    return canvas.finish(
        marks.traces(KINDS, cells),
        tally,
        title=f"{INFO.title} by {query.level}",
        below=[run_name(run.number, run.name)],
        **layout,
    )


def _judged(source: Source, run_id: str, label: str, rows: Sequence[str]) -> Judged:
    held = {
        (s.metric, s.layer): s.id
        for s in source.series(run_id)
        if s.count and s.estimator in ("", label) and s.layer in rows
    }

    def newest(metric: str, layer: str) -> float:
        one = held.get((metric, layer))
        return float(source.points(one).values[-1]) if one else math.nan

    known = [row for row in rows if ("verdict/biased", row) in held]
    told = [
        _told(layer, *(newest(name, layer) for name in _READ))
        for layer in known
    ]  # fmt: skip
    made = int(source.points(held["verdict/biased", known[0]]).steps[-1]) if known else 0
    return Judged(label, made, newest("verdict/target", "") == 1, told)


_READ = ("verdict/biased", "verdict/bias", "verdict/bound", "exact/norm")


def _told(layer: str, biased: float, bias: float, bound: float, norm: float) -> Told:
    if norm == 0:
        kind = "dead"
    elif math.isnan(biased):
        kind = "unknown"
    elif not biased:
        kind = "clean"
    else:
        # The bound is |bias| and what the draws leave open of it.
        kind = "biased" if abs(bias) >= bound - abs(bias) else "across"
    return Told(layer, kind, bias, bound)


def _mark(one: Judged, told: Told) -> marks.Mark:
    words = {
        "clean": f"< {bounded(told.bound)}",
        "biased": signed(told.bias),
        "across": "across",
        "unknown": "?",
        "dead": "",
    }[told.kind]
    return marks.Mark(told.layer, one.label, told.kind, words, f"{one.label}: {_of(told, one)}")


def _of(told: Told, one: Judged) -> str:
    """The verdict on one layer as a sentence."""
    after = f", {one.draws:,} draws"
    half = told.bound - abs(told.bias)
    return {
        "clean": f"no bias found: relative bias along g < {bounded(told.bound)}{after}",
        "biased": f"biased: {signed(told.bias)} ± {half:.2g} of the gradient along it{after}",
        "across": f"biased across the gradient, not along it "
        f"({signed(told.bias)} ± {half:.2g}){after}",
        "unknown": f"not known: too few of its {one.draws:,} draws are finite "
        f"(a verdict takes {LEAST})",
        "dead": "the exact gradient is zero here: no verdict",
    }[told.kind]


def sentences(judged: Sequence[Judged]) -> list[str]:
    """What is said of the estimators, all layers of each taken together."""
    clean = [one for one in judged if one.rows[0].kind == "clean" and not _guilty(one)]
    guilty = [one for one in judged if _guilty(one)]
    rest = [one for one in judged if one not in clean and one not in guilty]
    innocent = [
        f"{clipped(o.label)} (relative bias along g < {bounded(o.rows[0].bound)})" for o in clean
    ]
    return [
        f"no bias found: {', '.join(innocent)}" if clean else "",
        f"biased: {', '.join(map(_charge, guilty))}" if guilty else "",
        *(f"{clipped(one.label)}: {_of(one.rows[0], one)}" for one in rest),
        f"{judged[0].draws:,} draws, held against {_against(judged)}" if judged else "",
    ]


def _guilty(one: Judged) -> list[Told]:
    return [row for row in one.rows if row.kind in ("biased", "across")]


def _charge(one: Judged) -> str:
    """How an estimator is biased, and where."""
    whole, parts = one.rows[0], [row for row in one.rows if row.layer]
    half = whole.bound - abs(whole.bias)
    size = f"{signed(whole.bias)} along g" + (f" ± {half:.2g}" if half > 1e-3 else "")
    guilty = [row for row in _guilty(one) if row.layer]
    if not parts or len(guilty) == len(parts):
        return f"{clipped(one.label)} ({size}, in every layer)"
    names = ", ".join(clipped(row.layer) for row in guilty[:SHOWN])
    more = f" and {len(guilty) - SHOWN} more" if len(guilty) > SHOWN else ""
    return f"{clipped(one.label)} ({size}; in {len(guilty)} of {len(parts)} layers: {names}{more})"


def _against(judged: Sequence[Judged]) -> str:
    own = [clipped(one.label) for one in judged if one.target]
    if not own:
        return "the exact gradient"
    return f"the exact gradient, {', '.join(own)} against a target of its own"


def _missing(run: RunLike, waiting: Sequence[str]) -> str:
    """Why there is no verdict, or not yet."""
    who = ", ".join(clipped(one) for one in waiting[:SHOWN])
    who += f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else ""
    if not draws.is_microscope(run):
        return f"no verdict on {who}: only a microscope's draws are judged"
    of = run.config["microscope"]
    if of.get("sweep"):
        return f"no verdict on {who}: a sweep keeps no draws to judge"
    made = int(of["draws"])
    if made < LEAST:
        return f"no verdict: one takes at least {LEAST} draws, {LEAST - made:,} more than these"
    if made > MOST:
        return f"no verdict: one takes at most {MOST:,} draws, these are {made:,}"
    return f"no verdict on {who} yet: it comes with the last of {made:,} draws"


def _how() -> str:
    wrong, of = CONVICTED
    return (
        "the bounds hold for all layers at once, at 96 %; an unbiased estimator is called biased "
        f"in some layer in {100 * wrong / of:.1f} % of verdicts (measured: {wrong} of {of})"
    )


def bounded(bound: float) -> str:
    """A bound in two digits, rounded up: what is said to be below it is."""
    if not 0 < bound < math.inf:
        return f"{bound:g}"
    if bound < 1e-3:  # of the size of rounding: its power of ten is enough
        return f"10{str(math.ceil(math.log10(bound))).translate(SUPERSCRIPT)}"
    step = 10.0 ** (math.floor(math.log10(bound)) - 1)
    return f"{math.ceil(bound / step * (1 - 1e-12)) * step:.2g}"


def signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")
