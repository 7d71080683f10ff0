"""Layers without a gradient, and estimators that break their theory."""

from collections.abc import Mapping, Sequence

import numpy as np

from backend.figures.data import law_checks, laws
from backend.figures.data.select import draws_of, estimators
from backend.figures.data.source import RunLike, Source
from backend.figures.findings.finding import FAULT, Finding, places, short_layers
from backend.figures.reference import NORM, Reference
from backend.figures.words.names import short_names
from backend.figures.words.sentences import fitting, joined

DEAD_PROBES = 3
"""Probes in a row whose gradient is zero in a dead layer."""
TINY = 1e-30
"""A gradient's length up to which it counts as zero: its square is below what float32 holds."""
JUDGED = (laws.VARIANCE, laws.BIAS)
"""The measures of which a law is given; the other laws follow from them."""


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
        verb = "has" if len(layers) == 1 else "have"
        names = joined(short_layers(layers)) if len(layers) <= 2 else f"{len(layers):,} layers"
        title = f"{names} {verb} no gradient since step {step:,}"
        text = "Its units no longer respond. A lower learning rate or another activation helps."
        text = text if len(layers) == 1 else text.replace("Its", "Their")
    layer = layers[0] if len(layers) == 1 else ""
    return [Finding("dead layer", FAULT, fitting(title), text, step, layer=layer, where="layers")]


def theory(source: Source, run_id: str, run: RunLike, stages: Sequence[str]) -> list[Finding]:
    """The estimators whose draws disagree with their law, over all probes."""
    series, exact = laws.index(source, run_id), Reference(source, run_id)
    labels = estimators(run)
    names = short_names(labels)
    made = []
    for label in labels:
        wrong = {
            layer: measures
            for layer in ("", *stages)
            if (measures := _disagreements(source, exact, series.get((layer, label), {}), run))
        }
        if wrong:
            made.append(_of_theory(label, names[label], wrong, len(stages), run))
    return made


def _disagreements(
    source: Source, exact: Reference, series: laws.SeriesByMetric, run: RunLike
) -> dict[str, tuple[int, float]]:
    """{measure: (last step, measured over law)} of the measures that disagree in a layer."""
    wrong: dict[str, tuple[int, float]] = {}
    for name in JUDGED:
        if name not in series or law_checks.LAW + name not in series:
            continue
        shown = source.points(series[name].id)
        law = law_checks.law_of(source, series, name, shown)
        if law is None:
            continue
        check = law_checks.check_probes(source, exact, series, name, law, shown, draws_of(run))
        if check.verdict == "disagrees":
            wrong[name] = int(shown.steps[-1]), check.ratio
    return wrong


def _of_theory(
    label: str,
    name: str,
    wrong: Mapping[str, Mapping[str, tuple[int, float]]],
    total: int,
    run: RunLike,
) -> Finding:
    layers = [layer for layer in wrong if layer]
    where = places(layers, total)
    measures = {measure for own in wrong.values() for measure in own}
    what = "variance" if laws.VARIANCE in measures else "bias"
    ratios = [own[laws.VARIANCE][1] for own in wrong.values() if laws.VARIANCE in own]
    size = ""
    if ratios and np.isfinite(ratios[0]):
        size = f"Its variance is {ratios[0]:.2g} × what theory gives. "
    cause = law_checks.likely_cause(run, label)
    text = f"{size}{cause[:1].upper()}{cause[1:]}."
    title = fitting(f"{name} breaks its theory {where}".rstrip(), f"{name} breaks its theory")
    step = max(step for own in wrong.values() for step, _ in own.values())
    layer = layers[0] if len(layers) == 1 else ""
    return Finding(f"theory of {what}", FAULT, title, text, step, None, label, layer, "layers")
