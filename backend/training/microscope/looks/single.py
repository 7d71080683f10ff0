"""Draws of every estimator as it is, all of them level with each other."""

from collections.abc import Iterator

import numpy as np

from backend.training.microscope.drawing import sources
from backend.training.microscope.looks.pace import Pace
from backend.training.microscope.looks.scene import Scene
from backend.training.records import Points, Record
from estimators.measurement.estimates.observation import Point, point


def single(scene: Scene, pace: Pace) -> Iterator[Record]:
    """`draw/*` of each draw, and the measures at 8, 16, 32, … of them."""
    at = point(scene.specimen.chain, scene.specimen.params)
    yield from _norms(at)
    drawings = [scene.drawing(one, at, along=True) for one in scene.estimators]
    yield from sources(drawings)
    for drawing in drawings:
        yield from drawing.drawn("", 0)
    for _ in pace.draw(drawings):
        if pace.due:
            for drawing in drawings:
                yield from drawing.points()
            yield from pace.flush()
    for drawing in drawings:
        yield from drawing.points()
    if not pace.end:
        for drawing in drawings:
            yield from drawing.last()
            yield pace.progress("running")  # of many draws, each is a large report


def _norms(at: Point) -> Iterator[Points]:
    """‖g‖ of every layer."""
    step = np.zeros(1, dtype=np.int64)
    for layer, norm in zip(at.layers, at.norms.tolist(), strict=True):
        yield Points("exact/norm", layer, "", "", step, np.array([norm]))
