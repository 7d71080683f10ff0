"""One-step draws: every draw is taken as an update of several lengths from the checkpoint."""

from collections.abc import Iterator, Sequence

from backend.config import WhatIf
from backend.series import one_step as series
from backend.series.points import Points
from backend.training.components.assemble import Labelled
from backend.training.microscope.draw_loop import DrawLoop
from backend.training.microscope.rehearsal import rehearse
from backend.training.microscope.setup import Setup
from backend.training.records import Event, Record
from estimators.measurement.draws.one_step import (
    PILOT_DRAWS,
    OneStepDraws,
    StartingPoint,
    starting_point,
)
from estimators.measurement.draws.stream import FIRST as FIRST_CHUNK
from estimators.measurement.estimates.one_step import WhatIf as OneStepResult
from estimators.measurement.estimates.one_step import grid


def run_one_step(setup: Setup, loop: DrawLoop, request: WhatIf) -> Iterator[Record]:
    """`what_if/*` of each draw, their summary at 8, 16, 32, … draws, and at last rehearsals."""
    start, usual = starting_point(setup.run.chain, setup.run.params), setup.learning_rate
    yield from series.start(start.loss, usual)
    yield from loop.flush()
    rates = request.rates or grid(_pilot_rates(setup, loop, start), [usual] if usual > 0 else [])
    depth_rate = usual if usual > 0 else sorted(rates)[len(rates) // 2]
    streams = [
        OneStepStream(_draws(setup, each, start, rates, depth_rate=depth_rate))
        for each in setup.estimators
    ]
    while waiting := [stream for stream in streams if not stream.done]:
        if loop.end:
            break
        min(waiting, key=lambda stream: stream.made).take()
        loop.step = sum(stream.made for stream in streams) // len(streams)
        if loop.due:
            for stream in streams:
                yield from stream.points()
            yield from loop.flush()
    for stream in streams:
        yield from stream.points()
        yield from stream.events()
    for labelled, stream in zip(setup.estimators, streams, strict=True):
        if not loop.end and stream.best_rate is not None:
            yield from rehearse(setup, labelled, stream.best_rate, loop)


def _pilot_rates(setup: Setup, loop: DrawLoop, start: StartingPoint) -> list[float]:
    """The best learning rates by a few draws, of those estimators that have one."""
    rates = []
    for labelled in setup.estimators:
        if loop.end:
            break
        draws = _draws(setup, labelled, start, (), min(PILOT_DRAWS, setup.request.draws))
        for _ in draws.take():
            pass
        result = OneStepResult.from_draws(draws)
        if result.slope > 0 and result.curvature > 0:
            rates.append(result.slope / result.curvature)
    return rates


def _draws(
    setup: Setup,
    labelled: Labelled,
    start: StartingPoint,
    rates: Sequence[float],
    count: int | None = None,
    depth_rate: float | None = None,
) -> OneStepDraws:
    state = setup.state(labelled, setup.run.chain)
    return OneStepDraws(
        start, labelled.estimator, state, count or setup.request.draws, rates,
        setup.request.seed, labelled.label, setup.chunk_size(labelled), depth_rate,
    )  # fmt: skip


class OneStepStream:
    """The one-step draws of one estimator, and the points that are new since the last call."""

    def __init__(self, draws: OneStepDraws) -> None:
        self._draws, self._chunks = draws, draws.take()
        self._reported, self._next = 0, FIRST_CHUNK
        self._waiting: list[Points] = []

    @property
    def made(self) -> int:
        """Draws so far."""
        return len(self._draws)

    @property
    def done(self) -> bool:
        """Whether all draws are made."""
        return self.made >= self._draws.count

    @property
    def best_rate(self) -> float | None:
        """The best learning rate of one step, if there is one."""
        return OneStepResult.from_draws(self._draws).best_rate if self.made else None

    def take(self) -> None:
        """Draw one more chunk."""
        next(self._chunks)
        if self._next <= self.made or self.done:
            while self._next <= self.made:
                self._next *= 2
            self._waiting += series.summary(
                OneStepResult.from_draws(self._draws), self._draws.label
            )

    def points(self) -> Iterator[Points]:
        """Slope, curvature and changes of each draw since the last call, and the summaries."""
        first, self._reported = self._reported, self.made
        if first < self.made:
            yield from series.each_draw(
                OneStepResult.from_draws(self._draws), self._draws.label, first
            )
        yield from self._waiting
        self._waiting = []

    def events(self) -> Iterator[Event]:
        """The summary in a sentence."""
        if self.made:
            text = OneStepResult.from_draws(self._draws).text
            yield Event(self.made, "what-if", f"{self._draws.label}: {text}")
