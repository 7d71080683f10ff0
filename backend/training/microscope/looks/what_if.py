"""One-step draws: every draw is taken as a step of several lengths from the checkpoint."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from backend.config import WhatIf
from backend.training.components.assemble import Labelled
from backend.training.microscope.looks.pace import Pace
from backend.training.microscope.looks.scene import Scene
from backend.training.records import Event, Points, Record
from estimators.measurement.draws.one_step import (
    PILOT_DRAWS,
    OneStepDraws,
    StartingPoint,
    starting_point,
)
from estimators.measurement.draws.stream import FIRST
from estimators.measurement.estimates.one_step import MIN_DRAWS_DECREASE, grid
from estimators.measurement.estimates.one_step import WhatIf as Result


def what_if(scene: Scene, pace: Pace, of: WhatIf) -> Iterator[Record]:
    """`what_if/*` of each draw, and what they tell together at 8, 16, 32, … of them."""
    at = starting_point(scene.specimen.chain, scene.specimen.params)
    usual = scene.learning_rate
    yield _fact("what_if/loss", at.loss, "nats")
    yield _fact("what_if/learning_rate", usual)
    yield from pace.flush()
    rates = of.rates or grid(_pilot(scene, pace, at), [usual] if usual > 0 else [])
    tables = [StepSeries(_steps(scene, one, at, rates)) for one in scene.estimators]
    while wanting := [t for t in tables if not t.done]:
        if pace.end:
            break
        min(wanting, key=lambda t: len(t.steps)).take()
        pace.step = sum(len(t.steps) for t in tables) // len(tables)
        if pace.due:
            for table in tables:
                yield from table.points()
            yield from pace.flush()
    for table in tables:
        yield from table.points()
        yield from table.said()


def _pilot(scene: Scene, pace: Pace, at: StartingPoint) -> list[float]:
    """The best rates as a few draws have them, of those estimators that have one."""
    found = []
    for one in scene.estimators:
        if pace.end:
            break
        steps = _steps(scene, one, at, (), min(PILOT_DRAWS, scene.of.draws))
        for _ in steps.take():
            pass
        seen = Result.of(steps)
        if seen.slope > 0 and seen.curvature > 0:
            found.append(seen.slope / seen.curvature)
    return found


def _steps(
    scene: Scene, one: Labelled, at: StartingPoint, rates: Sequence[float], count: int | None = None
) -> OneStepDraws:
    return OneStepDraws(
        at, one.estimator, scene.state(one, scene.specimen.chain), count or scene.of.draws, rates,
        scene.of.seed, one.label, scene.chunk(one),
    )  # fmt: skip


class StepSeries:
    """One estimator's one-step draws, and what is new of them, as points."""

    def __init__(self, steps: OneStepDraws) -> None:
        self.steps = steps
        self._taking, self._told, self._next = steps.take(), 0, FIRST
        self._waiting: list[Points] = []

    @property
    def done(self) -> bool:
        return len(self.steps) >= self.steps.count

    def take(self) -> None:
        """One more chunk."""
        next(self._taking)
        made = len(self.steps)
        if self._next <= made or self.done:
            while self._next <= made:
                self._next *= 2
            self._waiting += self._summary()

    def points(self) -> Iterator[Points]:
        """Slope, curvature and changes of each draw since the last call, and all measures."""
        yield from self._each()
        yield from self._waiting
        self._waiting = []

    def said(self) -> Iterator[Event]:
        """What there is to say of all of them."""
        if len(self.steps):
            text = Result.of(self.steps).text
            yield Event(len(self.steps), "what-if", f"{self.steps.label}: {text}")

    def _each(self) -> Iterator[Points]:
        first, self._told = self._told, len(self.steps)
        if first == self._told:
            return
        found = Result.of(self.steps)
        yield self._of("slope", first, found.slopes)
        yield self._of("curvature", first, found.curvatures)
        for rate, changes in zip(found.rates, found.changes.unbind(1), strict=True):
            yield self._of(f"change/{rate:.6g}", first, changes, "nats")

    def _of(self, name: str, first: int, values: Tensor, unit: str = "") -> Points:
        steps = np.arange(first, len(values), dtype=np.int64)
        return Points(f"what_if/{name}", "", self.steps.label, unit, steps, values[first:].numpy())

    def _summary(self) -> list[Points]:
        """NaN where there is no best rate, so that an earlier one does not stand for it."""
        found, made = Result.of(self.steps), len(self.steps)
        best, decrease = found.best_rate, found.expected_decrease
        told: dict[str, float | None] = {"best_rate": best, "expected_decrease": decrease}
        if made >= MIN_DRAWS_DECREASE and decrease is not None:
            told["expected_decrease_se"] = found.decrease_se
        told["nonfinite"] = found.nonfinite
        step = np.array([made], dtype=np.int64)
        return [
            Points(f"what_if/{name}", "", self.steps.label, "", step,
                   np.array([np.nan if value is None else float(value)]))
            for name, value in told.items()
        ]  # fmt: skip


def _fact(metric: str, value: float, unit: str = "") -> Points:
    return Points(metric, "", "", unit, np.zeros(1, dtype=np.int64), np.array([value]))
