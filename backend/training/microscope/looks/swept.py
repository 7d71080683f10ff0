"""Every estimator at one value of a field after the other."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from backend.config import Sweep
from backend.training.components.assemble import Labelled
from backend.training.facts import facts
from backend.training.microscope.drawing import Drawing, sources
from backend.training.microscope.looks.pace import Pace
from backend.training.microscope.looks.scene import Scene
from backend.training.microscope.varied_fields import BATCH_SIZE, of_network
from backend.training.records import Event, Points, Record
from estimators.measurement.estimates.observation import Point, point
from estimators.measurement.inputs.fields import vary

PARAMETERS = "sweep/parameters"


def swept(scene: Scene, pace: Pace, sweep: Sweep) -> Iterator[Record]:
    """`sweep/*` at each value: the laws at once, an estimator's measures when it is drawn.

    Of a sweep over the network also `sweep/parameters`, its number of parameters.
    """
    yield from _events(scene, sweep)
    for place, (value, step) in enumerate(zip(sweep.values, sweep.steps, strict=True)):
        at, drawings = _at(scene, sweep.field, value)
        if of_network(sweep.field):
            yield _parameters(at, step)
        yield from sources(drawings, f" at {sweep.field} {value}")
        for drawing in drawings:
            yield from drawing.drawn("sweep/", step)
            yield from drawing.laws("sweep/", step)
        yield from pace.flush()
        yield from _drawn(drawings, pace, step, place * scene.of.draws)
        if pace.end:
            return


def further_layers(scene: Scene) -> list[dict[str, Any]]:
    """The layers that the last network of a sweep has and the run's own has not."""
    sweep, held = scene.of.sweep, scene.specimen
    if sweep is None or of_network(sweep.field) is None:
        return []
    last = _other(scene, sweep.field, sweep.values[-1]).specimen
    rows = facts(last.assembly, last, 0).layers
    return [row for row in rows if row["name"] not in held.params]


def _events(scene: Scene, sweep: Sweep) -> Iterator[Event]:
    name, of = of_network(sweep.field), scene.of
    if name is None:
        return
    own = getattr(scene.specimen.assembly.network, name)
    why = f"; the weights of step {of.step:,} belong to {name} {own} alone" if of.step else ""
    seed = scene.specimen.config.seed
    yield Event(
        0, "sweep", f"every network is at its initialisation, of the run's seed {seed}{why}"
    )


def _drawn(drawings: Sequence[Drawing], pace: Pace, step: int, before: int) -> Iterator[Record]:
    """One estimator after the other, so that the first point comes early."""
    for drawing in drawings:
        for _ in pace.draw([drawing], before, among=drawings):
            if pace.due:
                yield from pace.flush()
        if pace.end:
            return
        yield from drawing.measured("sweep/", step)
        yield from drawing.law_checks("sweep/", step)


def _at(scene: Scene, field: str, value: Any) -> tuple[Point, list[Drawing]]:
    """The frozen point of a value, and its estimators there, with no draw made yet."""
    held, estimators = scene.specimen, scene.estimators
    if field == BATCH_SIZE:
        at = point(held.batch(value), held.params)
        return at, [scene.drawing(one, at) for one in estimators]
    if of_network(field):
        scene = _other(scene, field, value)
        held, estimators = scene.specimen, scene.estimators
    else:
        estimators = [Labelled(label, vary(e, field, value)) for label, e in estimators]
    at = point(held.chain, held.params)
    # A state fits what it was learned with, so that all start anew.
    return at, [scene.drawing(one, at, learned=False) for one in estimators]


def _other(scene: Scene, field: str, value: Any) -> Scene:
    """The same estimators at the network that has the value."""
    network = vary(scene.specimen.assembly.network, of_network(field) or "", value)
    held = scene.specimen.untrained(network)
    return Scene(held.config, held.assembly, held)


def _parameters(at: Point, step: int) -> Points:
    count = float(sum(p.numel() for p in at.params.values()))
    return Points(PARAMETERS, "", "", "", np.array([step], dtype=np.int64), np.array([count]))
