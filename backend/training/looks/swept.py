"""Every estimator at one value of a field after the other."""

from collections.abc import Iterator
from typing import Any

from backend.config import Sweep
from backend.training.assemble import Labelled
from backend.training.drawing import Drawing
from backend.training.looks.pace import Pace
from backend.training.looks.scene import Scene
from backend.training.records import Record
from backend.training.varied import BATCH_SIZE, vary
from estimators.measure.observation import point


def swept(scene: Scene, pace: Pace, sweep: Sweep) -> Iterator[Record]:
    """`sweep/*`: the measures at each value, once all of its draws are made."""
    before = 0
    for value, step in zip(sweep.values, sweep.steps, strict=True):
        drawings = _at(scene, sweep.field, value)
        for _ in pace.draw(drawings, before):
            if pace.due:
                yield from pace.flush()
        if pace.end:
            return
        before += scene.of.draws
        for drawing in drawings:
            yield from drawing.measures("sweep/", step)


def _at(scene: Scene, field: str, value: Any) -> list[Drawing]:
    held = scene.specimen
    if field == BATCH_SIZE:
        at = point(held.batch(value), held.params)
        return [scene.drawing(one, at) for one in scene.estimators]
    at = point(held.chain, held.params)
    varied = [Labelled(label, vary(e, field, value)) for label, e in scene.estimators]
    # A state fits the field that it was learned with, so that all start anew.
    return [scene.drawing(one, at, learned=False) for one in varied]
