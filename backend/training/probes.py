"""Probes: driver and shadows measured at the driving run's weights and batch."""

import math
from collections.abc import Iterator
from time import perf_counter

import torch

from backend.training.clock import Clock
from backend.training.point_buffer import Key
from backend.training.probe_schedule import Stride
from backend.training.trainer import Trainer
from estimators.core.objective import Chain
from estimators.measurement.probe import probe

WARM_UP = 2  # draws: the fewest that have a variance


class Probes:
    """Fires when the stride says so; its noise is its own, so that it disturbs nothing."""

    def __init__(
        self, trainer: Trainer, stride: Stride, draws: int, seed: int, clock: Clock
    ) -> None:
        self._trainer, self._stride, self._clock = trainer, stride, clock
        self._draws, self._seed = draws, seed
        self._warm = False
        self._seconds = self._cold = 0.0

    def due(self, step: int) -> bool:
        return self._stride.due(step, self._clock.training, self._clock.probes)

    def fire(self, step: int, objective: Chain) -> Iterator[tuple[Key, float]]:
        """The measurements at `step`, and what the probes so far took."""
        start = perf_counter()
        expected = math.inf if self._warm else self._warm_up(step, objective)
        seconds, rows = self._timed(step, objective, self._draws)
        self._seconds = min(seconds, expected)
        self._cold = perf_counter() - start - self._seconds if math.isfinite(expected) else 0.0
        yield from rows
        yield ("probe/stride", "", ""), float(self._stride.stride)
        yield ("probe/share", "", ""), self._clock.probes / self._clock.total

    def told(self, seconds: float) -> None:
        """The last probe has been reported, which took that long."""
        self._stride.fired(self._seconds + seconds, self._cold)

    def _measure(self, step: int, objective: Chain, draws: int) -> Iterator[tuple[Key, float]]:
        measurement = probe(
            objective,
            self._trainer.params,
            self._trainer.measured(),
            draws=draws,
            seed=self._seed,
            step=step,
            laws=True,
        )
        for metric, layer, estimator, value in measurement.rows():
            yield (metric, layer, estimator), value
        for estimator, said in measurement.laws.items():
            for metric, values in said.items():
                for layer, value in zip(measurement.layers, values, strict=True):
                    if math.isfinite(value):
                        yield (f"law/{metric}", layer, estimator), value

    def _warm_up(self, step: int, objective: Chain) -> float:
        """Seconds that a whole probe should take, at most.

        First calls compile and allocate, and a busy moment may fall on the first whole probe;
        either, taken for what all cost, would make the stride too wide for good.
        """
        self._timed(step, objective, WARM_UP)
        seconds, _ = self._timed(step, objective, WARM_UP)
        self._warm = True
        return seconds * self._draws / WARM_UP

    def _timed(
        self, step: int, objective: Chain, draws: int
    ) -> tuple[float, list[tuple[Key, float]]]:
        if objective.x.is_cuda:
            torch.cuda.synchronize(objective.x.device)
        start = perf_counter()
        rows = list(self._measure(step, objective, draws))
        return perf_counter() - start, rows
