"""Layers without a gradient, and estimators that break their theory."""

from collections.abc import Sequence

import numpy as np

from backend.figures.data import law_checks, laws
from backend.figures.data.query import parse
from backend.figures.data.select import estimators
from backend.figures.data.source import RunLike, Source
from backend.figures.findings.finding import FAULT, Finding, places
from backend.figures.reference import NORM, Reference
from backend.figures.summary.theory import Cell, check_cell
from backend.figures.words.names import capital, short_names
from backend.figures.words.numbers import times
from backend.figures.words.sentences import fitting

DEAD_PROBES = 3
"""Probes in a row whose gradient is zero in a dead layer."""
TINY = 1e-30
"""A gradient's length up to which it counts as zero: its square is below what float32 holds."""


def dead(source: Source, run_id: str, stages: Sequence[str]) -> list[Finding]:
    """The stages in which the exact gradient is zero at the last probes."""
    norms = {s.layer: s.id for s in source.series(run_id) if s.metric == NORM and s.count}
    since: dict[str, int] = {}
    for stage in stages:
        if stage not in norms:
            continue
        points = source.points(norms[stage])
        # NaN is no zero: a gradient that is not a number is another fault.
        alive = np.flatnonzero(~(points.values <= TINY))
        first = int(alive[-1]) + 1 if len(alive) else 0
        if len(points.values) - first >= DEAD_PROBES:
            since[stage] = int(points.steps[first])
    if not since:
        return []
    step, layers = min(since.values()), list(since)
    if len(layers) == len(stages):
        title = f"the exact gradient is zero in every layer since step {step:,}"
        text = "Nothing can be learnt here. Start again with other weights or a lower rate."
    else:
        title = f"no gradient {places(layers, len(stages))} since step {step:,}"
        text = "Its units no longer respond. A lower learning rate or another activation helps."
        text = text if len(layers) == 1 else text.replace("Its", "Their")
    layer = layers[0] if len(layers) == 1 else ""
    return [Finding("dead layer", FAULT, fitting(title), text, step, layer=layer, where="layers")]


def theory(source: Source, run_id: str, run: RunLike, stages: Sequence[str]) -> list[Finding]:
    """The estimators whose variance disagrees with its law, over all probes."""
    series, exact, query = (
        laws.index(source, run_id),
        Reference(source, run_id),
        parse({"runs": run_id}),
    )
    labels = estimators(run)
    names, made = short_names(labels), []
    for label in labels:
        cells = [
            check_cell(source, run, exact, own, laws.VARIANCE, (layer, label), query)
            for layer in ("", *stages)
            if laws.VARIANCE in (own := series.get((layer, label), {}))
        ]
        wrong = [cell for cell in cells if cell.check.verdict == "disagrees"]
        if wrong:
            last = source.points(series[wrong[0].layer, label][laws.VARIANCE].id, newest=1)
            step = int(last.steps[-1])
            made.append(_of_theory(run, names[label], wrong, len(stages), step))
    return made


def _of_theory(run: RunLike, name: str, wrong: Sequence[Cell], total: int, step: int) -> Finding:
    layers, label = [cell.layer for cell in wrong if cell.layer], wrong[0].label
    where, ratio = places(layers, total), wrong[0].check.ratio
    size = f"Its variance is {times(ratio)} what theory gives. " if np.isfinite(ratio) else ""
    text = f"{size}{capital(law_checks.likely_cause(run, label))}."
    title = fitting(f"{name} breaks its theory {where}".rstrip(), f"{name} breaks its theory")
    layer = layers[0] if len(layers) == 1 else ""
    return Finding("theory violated", FAULT, title, text, step, None, label, layer, "layers")
