"""A law check for each layer and estimator: does a measure agree with its law?"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import draws, law_suspects, laws
from backend.figures.data import law_checks as checks
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import estimators, layers
from backend.figures.data.source import RunLike, Source
from backend.figures.drawing import canvas, marks, style
from backend.figures.drawing.text import clipped, run_name
from backend.figures.info import Chart, FigureInfo, Pick, Place
from estimators.statistics.law_check import LAW, LawCheck

PREDICTED = (
    "relative_variance", "relative_squared_bias", "relative_mse", "scaled_error", "snr",
)  # fmt: skip
"""Measures that the chart can judge."""
INFO = FigureInfo(
    title="Law checks, layer by layer",
    help="Where theory gives a measure in closed form, its law is compared with the draws, layer "
    "by layer. A dot: they agree. A cross: they are further apart than chance explains. A dash: "
    "no law is known. A diamond: there are too few draws to judge.",
    takeaway="A cross means that the implementation or an assumption of the law is wrong.",
    parameters=("runs", "metric", "estimator", "level", "first", "last"),
    charts=(
        Chart(
            "law-checks",
            (Place("run", "layers", 30), Place("draws", "layers", 20)),
            picks=(Pick("metric", choices=PREDICTED, own=True),),
            follows=("{metric}", "law/{metric}"),
            runs="focused",
        ),
    ),
)
MAX_NAMES = 3
"""Most layers that a sentence names."""
KINDS = {
    "agrees": marks.Kind("✓ agrees with the law", "circle", style.BLUE),
    "disagrees": marks.Kind("✗ disagrees", "x", style.ORANGE),
    "not judged": marks.Kind("… not judged", "diamond-open", style.GREY),
    "no law": marks.Kind("– no law", "square-open", style.GREY),
    "dead": marks.Kind("the exact gradient is 0", "circle-x-open", style.GREY),
}


class Cell(NamedTuple):
    """One layer of one estimator."""

    layer: str
    label: str
    check: LawCheck
    value: float
    law: float


def figure(source: Source, query: Query) -> go.Figure:
    """Check the first metric named (`relative_variance` by default) of one run."""
    name = query.metrics[0] if query.metrics else laws.VARIANCE
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
    for text in _notes(source, run_id, run, name, wanted, cells):
        tally.say(text)
    dead = {layer for layer in rows if _is_dead(source, held, layer)}
    drawn = [_mark(run, one, what.short, dead) for one in cells]
    labels = [one for one in wanted if any(cell.label == one for cell in cells)]
    layout: dict[str, Any] = marks.layout(rows, labels) if cells else {"height": 200}
    return canvas.finish(
        marks.traces(_kinds(run, cells), drawn),
        tally,
        title=f"{INFO.title} · {what.short}",
        below=[run_name(run.number, run.name)],
        **layout,
    )


def _notes(
    source: Source, run_id: str, run: RunLike, name: str, wanted: list[str], cells: list[Cell]
) -> list[str]:
    microscope = draws.is_microscope(run)
    rule = checks.POINT_RULE if microscope else checks.probe_rule()
    predicted = ", ".join(metric(one).short for one in laws.PREDICTED)
    return [
        _summary(cells),
        rule if cells else "",
        draws.how(source, [(run_id, one.label) for one in cells]),
        *(draws.not_finite(source, run_id, label) for label in wanted if microscope),
        "" if name in laws.PREDICTED else f"laws are of {predicted}",
    ]


def _cell(
    source: Source, run: RunLike, held: laws.Held, name: str, layer: str, label: str, query: Query
) -> Cell:
    if draws.is_microscope(run):
        known = checks.known_at_point(source, held)
        count = int(source.points(held[name].id).steps[-1])
        check = checks.check_point(source, held, name, count)
        return Cell(layer, label, check, known.get(name, np.nan), known.get(LAW + name, np.nan))
    shown = source.points(held[name].id, first=query.first, last=query.last)
    law = checks.law_of(source, held, name, shown)
    if not law:
        return Cell(layer, label, checks.NO_LAW, np.nan, np.nan)
    check = checks.check_probes(source, held, name, law, shown, checks.draws_of(run))
    return Cell(layer, label, check, float(shown.values[-1]), float(law.values[-1]))


def _is_dead(source: Source, held: dict[tuple[str, str], laws.Held], layer: str) -> bool:
    norm = held.get((layer, ""), {}).get("exact/norm")
    return norm is not None and bool(source.points(norm.id).values[-1] == 0)


def _kinds(run: RunLike, cells: list[Cell]) -> dict[str, marks.Kind]:
    """The marks, with the likely cause of a disagreement in the legend."""
    wrong = [(run, one.label) for one in cells if one.check.verdict == "disagrees"]
    named = replace(KINDS["disagrees"], name=f"✗ disagrees: {law_suspects.words(wrong)}")
    return {**KINDS, "disagrees": named}


def _mark(run: RunLike, one: Cell, what: str, dead: set[str]) -> marks.Mark:
    if one.layer in dead:
        text = f"{one.label}: the exact gradient is zero here, nothing to compare"
        return marks.Mark(one.layer, one.label, "dead", "", text)
    check, kind = one.check, checks.kind(one.check)
    text = f"{one.label}: law check: {check.words}"
    if check.verdict == "disagrees":
        text += f": {check.reason or law_suspects.of(run, one.label)}"
    if kind != "no law":
        text += f"<br>{what} {one.value:.4g}, by the law {one.law:.4g} (latest)"
    if np.isfinite(check.ratio):
        text += f"<br>measured ÷ law {check.ratio:.3g} ± {check.ratio_se:.2g} (standard error)"
    elif np.isfinite(check.errors):
        text += f"<br>{check.errors:+.1f} standard errors apart"
    wrong = check.verdict == "disagrees" and np.isfinite(check.errors)
    label = f"{check.errors:+.0f} s.e.".replace("-", "−") if wrong else ""
    return marks.Mark(one.layer, one.label, kind, label, text)


def _summary(cells: list[Cell]) -> str:
    """For each estimator, in how many layers it agrees, and which do not."""
    parts = []
    for label in dict.fromkeys(one.label for one in cells):
        own = [one for one in cells if one.label == label]
        judged = [one for one in own if one.check.verdict != "not judged"]
        wrong = [one for one in judged if one.check.verdict == "disagrees"]
        name = clipped(label)
        if all(one.check == checks.NO_LAW for one in own):
            parts.append(f"no law for {name}")
        elif not judged:
            reasons = dict.fromkeys(one.check.reason for one in own if one.check != checks.NO_LAW)
            parts.append(f"{name}: not judged ({', '.join(reasons)})")
        elif not wrong:
            parts.append(f"✓ {name}: agrees in {len(judged)} of {len(own)} rows")
        else:
            names = ", ".join(marks.row_name(clipped(one.layer)) for one in wrong[:MAX_NAMES])
            more = f" and {len(wrong) - MAX_NAMES} more" if len(wrong) > MAX_NAMES else ""
            parts.append(f"✗ {name}: disagrees in {len(wrong)} rows ({names}{more})")
    return "; ".join(parts)
