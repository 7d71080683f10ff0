"""A law check for each layer and estimator: does a measure agree with its law?"""

from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import draws, laws
from backend.figures.data import law_checks as checks
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import estimators, layers
from backend.figures.data.source import RunLike, Source
from backend.figures.drawing import canvas, marks, style
from backend.figures.drawing.text import clipped, run_name
from backend.figures.info import Chart, FigureInfo, Pick, Place
from backend.figures.reference import Reference
from backend.figures.summary.theory import Cell, check_cell
from backend.figures.words import theory as of_theory
from estimators.statistics.reference import HATCH, ROUNDED

PREDICTED = (
    "relative_variance", "relative_squared_bias", "relative_mse", "scaled_error", "snr",
)  # fmt: skip
"""Measures that the chart can judge."""
INFO = FigureInfo(
    title="Law checks, layer by layer",
    help="Where theory gives a measure in closed form, its law is compared with the draws, layer "
    "by layer. A dot: they agree. A cross: they differ by more than chance explains. A dash: "
    "no law is known. A diamond: there are too few draws to judge. A hatch: the exact gradient, "
    "from which law and measure are computed, is rounding.",
    reading="A cross means that the implementation or an assumption of the law is wrong.",
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
    "no reference": marks.Kind(f"{HATCH} {ROUNDED}", "hash-open", style.GREY),
    "dead": marks.Kind("the exact gradient is 0", "circle-x-open", style.GREY),
}


def figure(source: Source, query: Query) -> go.Figure:
    """Check the first metric named (`relative_variance` by default) of one run."""
    name = query.metrics[0] if query.metrics else laws.VARIANCE
    what, run_id = metric(name), query.runs[0]
    run = source.run(run_id)
    rows = ["", *layers(source, run, run_id, name, query.level)]
    series, exact = laws.index(source, run_id), Reference(source, run_id)
    wanted = [label for label in estimators(run) if not query.estimator or label == query.estimator]
    cells = [
        check_cell(source, run, exact, series[layer, label], name, (layer, label), query)
        for label in wanted
        for layer in rows
        if name in series.get((layer, label), {})
    ]
    tally = canvas.Tally(len(cells), len(cells))
    for text in _notes(source, run_id, run, name, wanted, cells):
        tally.say(text)
    tally.warn(exact.words(rows, query.window))
    tally.conclude(of_theory.takeaway(cells))
    dead = {layer for layer in rows if _is_dead(source, series, layer)}
    drawn = [_mark(run, cell, what.short, dead) for cell in cells]
    labels = [label for label in wanted if any(cell.label == label for cell in cells)]
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
    predicted = ", ".join(metric(measure).short for measure in laws.PREDICTED)
    return [
        _summary(cells),
        rule if cells else "",
        draws.how(source, [(run_id, cell.label) for cell in cells]),
        *(draws.not_finite(source, run_id, label) for label in wanted),
        "" if name in laws.PREDICTED else f"laws exist for {predicted}",
    ]


def _is_dead(
    source: Source, series: dict[tuple[str, str], laws.SeriesByMetric], layer: str
) -> bool:
    norm = series.get((layer, ""), {}).get("exact/norm")
    return norm is not None and bool(source.points(norm.id, newest=1).values[-1] == 0)


def _kinds(run: RunLike, cells: list[Cell]) -> dict[str, marks.Kind]:
    """The marks, with the likely cause of a disagreement in the legend."""
    wrong = [(run, cell.label) for cell in cells if cell.check.verdict == "disagrees"]
    named = replace(KINDS["disagrees"], name=f"✗ disagrees: {checks.likely_causes(wrong)}")
    return {**KINDS, "disagrees": named}


def _mark(run: RunLike, cell: Cell, what: str, dead: set[str]) -> marks.Mark:
    if cell.layer in dead:
        text = f"{cell.label}: the exact gradient is zero here, nothing to compare"
        return marks.Mark(cell.layer, cell.label, "dead", "", text)
    check, kind = cell.check, checks.kind(cell.check)
    text = f"{cell.label}: law check: {check.words}"
    if check.verdict == "disagrees":
        text += f": {check.reason or checks.likely_cause(run, cell.label)}"
    if kind != "no law":
        text += f"<br>{what} {cell.value:.4g}, by the law {cell.law:.4g} (latest)"
    if np.isfinite(check.ratio):
        text += f"<br>measured ÷ law {check.ratio:.3g} ± {check.ratio_se:.2g} (standard error)"
    elif np.isfinite(check.errors):
        text += f"<br>{check.errors:+.1f} standard errors from the law"
    wrong = check.verdict == "disagrees" and np.isfinite(check.errors)
    label = f"{check.errors:+.0f} s.e.".replace("-", "−") if wrong else ""
    return marks.Mark(cell.layer, cell.label, kind, label, text)


def _summary(cells: list[Cell]) -> str:
    """For each estimator, in how many layers it agrees, and which do not."""
    parts = []
    for label in dict.fromkeys(cell.label for cell in cells):
        own = [cell for cell in cells if cell.label == label]
        judged = [cell for cell in own if cell.check.verdict != "not judged"]
        wrong = [cell for cell in judged if cell.check.verdict == "disagrees"]
        name = clipped(label)
        if all(cell.check == checks.NO_LAW for cell in own):
            parts.append(f"no law for {name}")
        elif not judged:
            reasons = dict.fromkeys(
                cell.check.reason for cell in own if cell.check != checks.NO_LAW
            )
            parts.append(f"{name}: not judged ({', '.join(reasons)})")
        elif not wrong:
            parts.append(f"✓ {name}: agrees in {len(judged)} of {len(own)} rows")
        else:
            names = ", ".join(marks.row_name(clipped(cell.layer)) for cell in wrong[:MAX_NAMES])
            more = f" and {len(wrong) - MAX_NAMES} more" if len(wrong) > MAX_NAMES else ""
            parts.append(f"✗ {name}: disagrees in {len(wrong)} rows ({names}{more})")
    return "; ".join(parts)
