"""One-step lotteries: every draw is taken as a step of many lengths from the checkpoint."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from backend.config import WhatIf
from backend.training.components.assemble import Labelled
from backend.training.microscope.looks.pace import Pace
from backend.training.microscope.looks.scene import Scene
from backend.training.records import Event, Points, Record
from estimators.measurement.draws.one_step import PILOT, Ground, Lottery, ground
from estimators.measurement.draws.stream import FIRST
from estimators.measurement.estimates.one_step import LEAST_OF_DECREASES, grid


def what_if(scene: Scene, pace: Pace, of: WhatIf) -> Iterator[Record]:
    """`what_if/*` of each draw, and what they tell together at 8, 16, 32, … of them."""
    at = ground(scene.specimen.chain, scene.specimen.params)
    usual = scene.learning_rate
    yield _fact("what_if/loss", at.loss, "nats")
    yield _fact("what_if/learning_rate", usual)
    yield from pace.flush()
    rates = of.rates or grid(_pilot(scene, pace, at), [usual] if usual > 0 else [])
    tables = [Tickets(_lottery(scene, one, at, rates)) for one in scene.estimators]
    while wanting := [t for t in tables if not t.done]:
        if pace.end:
            break
        min(wanting, key=lambda t: len(t.lottery)).take()
        pace.step = sum(len(t.lottery) for t in tables) // len(tables)
        if pace.due:
            for table in tables:
                yield from table.points()
            yield from pace.flush()
    for table in tables:
        yield from table.points()
        yield from table.said()


def _pilot(scene: Scene, pace: Pace, at: Ground) -> list[float]:
    """The best rates as a few draws have them, of those estimators that have one."""
    found = []
    for one in scene.estimators:
        if pace.end:
            break
        lottery = _lottery(scene, one, at, (), min(PILOT, scene.of.draws))
        for _ in lottery.take():
            pass
        seen = lottery.found()
        if seen.slope > 0 and seen.curvature > 0:
            found.append(seen.slope / seen.curvature)
    return found


def _lottery(
    scene: Scene, one: Labelled, at: Ground, rates: Sequence[float], count: int | None = None
) -> Lottery:
    return Lottery(
        at, one.estimator, scene.state(one, scene.specimen.chain), count or scene.of.draws, rates,
        scene.of.seed, one.label, scene.chunk(one),
    )  # fmt: skip


class Tickets:
    """One estimator's lottery, and what is new of it, as points."""

    def __init__(self, lottery: Lottery) -> None:
        self.lottery = lottery
        self._taking, self._told, self._next = lottery.take(), 0, FIRST
        self._waiting: list[Points] = []

    @property
    def done(self) -> bool:
        return len(self.lottery) >= self.lottery.count

    def take(self) -> None:
        """One more chunk."""
        next(self._taking)
        made = len(self.lottery)
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
        if len(self.lottery):
            text = self.lottery.found().text
            yield Event(len(self.lottery), "what-if", f"{self.lottery.label}: {text}")

    def _each(self) -> Iterator[Points]:
        first, self._told = self._told, len(self.lottery)
        if first == self._told:
            return
        found = self.lottery.found()
        yield self._of("slope", first, found.slopes)
        yield self._of("curvature", first, found.curvatures)
        for rate, changes in zip(found.rates, found.changes.unbind(1), strict=True):
            yield self._of(f"change/{rate:.6g}", first, changes, "nats")

    def _of(self, name: str, first: int, values: Tensor, unit: str = "") -> Points:
        steps = np.arange(first, len(values), dtype=np.int64)
        return Points(
            f"what_if/{name}", "", self.lottery.label, unit, steps, values[first:].numpy()
        )

    def _summary(self) -> list[Points]:
        """NaN where there is no best rate, so that an earlier one does not stand for it."""
        found, made = self.lottery.found(), len(self.lottery)
        best, decrease = found.best_rate, found.expected_decrease
        told: dict[str, float | None] = {"best_rate": best, "expected_decrease": decrease}
        if made >= LEAST_OF_DECREASES and decrease is not None:
            told["expected_decrease_se"] = found.decrease_se
        told["nonfinite"] = found.nonfinite
        step = np.array([made], dtype=np.int64)
        return [
            Points(f"what_if/{name}", "", self.lottery.label, "", step,
                   np.array([np.nan if value is None else float(value)]))
            for name, value in told.items()
        ]  # fmt: skip


def _fact(metric: str, value: float, unit: str = "") -> Points:
    return Points(metric, "", "", unit, np.zeros(1, dtype=np.int64), np.array([value]))
