"""A lamp for each layer and estimator: does a measure agree with its law?"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import deviation, draws, law_refuted, law_suspects, laws
from backend.figures.data import law_agreement as lamp
from backend.figures.data.law_agreement import Lamp
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import estimators, layers
from backend.figures.data.source import RunLike, Source
from backend.figures.data.student import half_width
from backend.figures.drawing import canvas, marks, style
from backend.figures.drawing.text import clipped, run_name
from backend.figures.info import Chart, FigureInfo, Pick, Place

PREDICTED = (
    "relative_variance", "relative_squared_bias", "relative_mse", "scaled_error", "snr",
)  # fmt: skip
"""Measures that the chart can judge."""
INFO = FigureInfo(
    title="Laws, layer by layer",
    help="Where theory gives a measure in closed form, its law is compared with the draws, layer "
    "by layer. A dot: they agree. A cross: they are further apart than chance explains. A dash: "
    "no law is known. A diamond: there are too few draws to judge.",
    takeaway="A cross means that the implementation or an assumption of the law is wrong.",
    parameters=("runs", "metric", "estimator", "level", "first", "last"),
    charts=(
        Chart(
            "lamps",
            (Place("run", "layers", 30), Place("draws", "layers", 20)),
            picks=(Pick("metric", choices=PREDICTED, own=True),),
            follows=("{metric}", "law/{metric}"),
            runs="focused",
        ),
    ),
)
SHOWN = 3
KINDS = {
    "agrees": marks.Kind("✓ agrees with the law", "circle", style.BLUE),
    "disagrees": marks.Kind("✗ disagrees", "x", style.ORANGE),
    "too few": marks.Kind("… too few draws", "diamond-open", style.GREY),
    "none": marks.Kind("– no law", "square-open", style.GREY),
    "dead": marks.Kind("the exact gradient is 0", "circle-x-open", style.GREY),
}


class Cell(NamedTuple):
    """One layer of one estimator."""

    layer: str
    label: str
    lamp: Lamp
    value: float
    law: float


def figure(source: Source, query: Query) -> go.Figure:
    """Light the lamps of the first metric named (`relative_variance` by default), of one run."""
    name = query.metrics[0] if query.metrics else laws.SPREAD
    what, run_id = metric(name), query.runs[0]
    run = source.run(run_id)
    rows = ["", *layers(source, run, run_id, name, query.level)]
    held = laws.index(source, run_id)
    wanted = [one for one in estimators(run) if not query.estimator or one == query.estimator]
    cells = [
        _cell(source, run, held[layer, label], name, layer, label, query)
        for label in wanted
        for layer in rows
        if name in held.get((layer, label), {})
    ]
    tally = canvas.Tally(len(cells), len(cells))
    tally.say(_sum(cells))
    tally.say(_how(run) if cells else "")
    tally.say(draws.how(source, [(run_id, one.label) for one in cells]))
    for label in wanted if draws.is_microscope(run) else ():
        tally.say(draws.not_finite(source, run_id, label))
    if name not in laws.PREDICTED:
        tally.say(f"laws are of {', '.join(metric(one).short for one in laws.PREDICTED)}")
    dead = {layer for layer in rows if _is_dead(source, held, layer)}
    kinds = _kinds(run, cells)
    drawn = [_mark(run, one, what.short, dead) for one in cells]
    labels = [one for one in wanted if any(cell.label == one for cell in cells)]
    layout: dict[str, Any] = marks.layout(rows, labels) if cells else {"height": 200}
    return canvas.finish(
        marks.traces(kinds, drawn),
        tally,
        title=f"{INFO.title} · {what.short}",
        below=[run_name(run.number, run.name)],
        **layout,
    )


def _cell(
    source: Source, run: RunLike, of: laws.Held, name: str, layer: str, label: str, query: Query
) -> Cell:
    if draws.is_microscope(run):
        return _at_a_point(source, of, name, layer, label)
    shown = source.points(of[name].id, first=query.first, last=query.last)
    law = lamp.law_of(source, of, name, shown)
    if not law:
        return Cell(layer, label, lamp.NONE, np.nan, np.nan)
    lit = lamp.lit(source, of, name, law, shown, lamp.draws_of(run))
    return Cell(layer, label, lit, float(shown.values[-1]), float(law.values[-1]))


def _at_a_point(source: Source, of: laws.Held, name: str, layer: str, label: str) -> Cell:
    def newest(metric: str) -> float:
        return float(source.points(of[metric].id).values[-1]) if metric in of else np.nan

    points = source.points(of[name].id)
    value, error, law = float(points.values[-1]), newest(f"{name}_se"), newest(f"law/{name}")
    count = int(points.steps[-1])
    if name == laws.SNR:
        needed = (laws.SPREAD, f"{laws.SPREAD}_se", f"{laws.BIAS}_se", laws.SNR)
        error = deviation.of_snr({one: newest(one) for one in needed}, count)
    lit = lamp.at_a_point(
        value, error, law, count, squares=name in law_refuted.SQUARES, said=newest(f"lamp/{name}")
    )
    return Cell(layer, label, lit, value, law)


def _is_dead(source: Source, held: dict[tuple[str, str], laws.Held], layer: str) -> bool:
    norm = held.get((layer, ""), {}).get("exact/norm")
    return norm is not None and bool(source.points(norm.id).values[-1] == 0)


def _kinds(run: RunLike, cells: list[Cell]) -> dict[str, marks.Kind]:
    """Why they disagree, in the legend."""
    wrong = [(run, one.label) for one in cells if one.lamp.verdict == "disagrees"]
    named = replace(KINDS["disagrees"], name=f"✗ disagrees: {law_suspects.words(wrong)}")
    return {**KINDS, "disagrees": named}


def _mark(run: RunLike, one: Cell, what: str, dead: set[str]) -> marks.Mark:
    if one.layer in dead:
        told = f"{one.label}: the exact gradient is zero here, nothing to compare"
        return marks.Mark(one.layer, one.label, "dead", "", told)
    of, ratio = one.lamp, one.lamp.ratio
    said = f"{one.label}: {KINDS[of.verdict].name}"
    if of.verdict == "disagrees":
        said += f": {law_suspects.of(run, one.label)}"
    if of.verdict != "none":
        said += f"<br>{what} {one.value:.4g}, by the law {one.law:.4g} (latest)"
    if np.isfinite(ratio):
        said += f"<br>measured ÷ law {ratio:.3g} ± {of.error:.2g} (standard error)"
    elif np.isfinite(of.off):
        said += f"<br>{of.off:+.1f} standard errors apart"
    wrong = of.verdict == "disagrees" and np.isfinite(of.off)
    words = f"{of.off:+.0f} s.e.".replace("-", "−") if wrong else ""
    return marks.Mark(one.layer, one.label, of.verdict, words, said)


def _sum(cells: list[Cell]) -> str:
    """How many layers agree, and which do not."""
    told = []
    for label in dict.fromkeys(one.label for one in cells):
        mine = [one for one in cells if one.label == label]
        judged = [one for one in mine if one.lamp.verdict in ("agrees", "disagrees")]
        wrong = [one for one in judged if one.lamp.verdict == "disagrees"]
        if all(one.lamp.verdict == "none" for one in mine):
            told.append(f"no law for {clipped(label)}")
        elif not judged:
            told.append(f"{clipped(label)}: too few draws")
        elif not wrong:
            told.append(f"✓ {clipped(label)}: agrees in {len(judged)} of {len(mine)} rows")
        else:
            names = ", ".join(marks.row_name(clipped(one.layer)) for one in wrong[:SHOWN])
            more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            told.append(f"✗ {clipped(label)}: disagrees in {len(wrong)} rows ({names}{more})")
    return "; ".join(told)


def _how(run: RunLike) -> str:
    if draws.is_microscope(run):
        return (
            f"✗ from {lamp.APART:g} standard errors on{lamp.SKEWED}, of {lamp.DRAWS} draws or more"
        )
    of_few = half_width(lamp.PROBES, lamp.ERRORS)
    return (
        f"✗ where the mean over the probes is more than {lamp.ERRORS:g} standard errors off "
        f"(of few probes more, {of_few:.1f} of {lamp.PROBES}), of {lamp.PROBES} probes and "
        f"{lamp.DRAWS} draws or more"
    )
