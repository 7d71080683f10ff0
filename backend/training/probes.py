"""Probes: measurements of driver and shadows during the run, at its weights and batch."""

import math
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any, Protocol

import torch

from backend.series.draws import REFERENCE, UNCONVERGED
from backend.training.clock import Clock
from backend.training.point_buffer import Key
from backend.training.probe_schedule import ProbeSchedule
from backend.training.solve_watch import largest_of
from estimators.core.contract import Estimator, Params
from estimators.core.objective import Chain
from estimators.implicit.spectral_radius import SpectralRadius, spectral_radii
from estimators.measurement.estimates.measures import METRICS
from estimators.measurement.probe import probe

NONFINITE = "draw/nonfinite"
"""The number of a probe's draws that are not finite: of each estimator, and of the layers in which
there are any."""
ROUNDING, DIFFERENCE = "draw/rounding", "draw/difference"
"""The rounding of the loss, and a typical difference of it that one draw takes: of estimators that
take differences."""
RADIUS, RADIUS_CONVERGED = "equilibrium/spectral_radius", "equilibrium/spectral_radius_converged"
"""Of each equilibrium: the largest spectral radius of the examples, and the share of them whose
estimate converged."""
MAX_SERIES = 80_000
"""Series of a run's probes at most; a lab keeps 100,000 of a run, what a loop logs among them."""
SERIES_OF_A_LAYER = len(METRICS) + 2
"""Series of one layer and estimator: the measures, and those of its law."""
WARM_UP_DRAWS = 2  # the smallest number that has a variance


class Measured(Protocol):
    """What is measured: a trainer, or a network that is trained elsewhere."""

    @property
    def params(self) -> Params:
        """The present weights."""
        ...

    def measured(self) -> Mapping[str, tuple[Estimator, Any]]:
        """{label: (estimator, its present state)}."""
        ...


class Probes:
    """Measures when the schedule says so, with random numbers of its own: training is unchanged."""

    def __init__(
        self, trainer: Measured, schedule: ProbeSchedule, draws: int, seed: int, clock: Clock
    ) -> None:
        self._trainer, self._schedule, self._clock = trainer, schedule, clock
        self._draws, self._seed = draws, seed
        self._warm = False
        self._seconds = self._cold = 0.0
        self._notice: str | None = None
        self.radii: Mapping[str, SpectralRadius] = {}
        """The spectral radius in each equilibrium at the last probe."""

    def due(self, step: int) -> bool:
        """Whether to measure before update `step`."""
        return self._schedule.due(step, self._clock.training, self._clock.probes)

    def fire(self, step: int, objective: Chain) -> Iterator[tuple[Key, float]]:
        """The measurements at `step`, and the share of time that probes took so far."""
        start = perf_counter()
        expected = math.inf if self._warm else self._warm_up(step, objective)
        seconds, rows = self._timed(step, objective, self._draws)
        self._seconds = min(seconds, expected)
        self._cold = perf_counter() - start - self._seconds if math.isfinite(expected) else 0.0
        yield from rows
        yield ("probe/stride", "", ""), float(self._schedule.stride)
        yield ("probe/share", "", ""), self._clock.probes / self._clock.total

    def take_notice(self) -> Iterator[str]:
        """What probes do not measure, since the lab keeps no more: once, after the first one."""
        if self._notice is not None:
            yield self._notice
        self._notice = None

    def reported(self, seconds: float) -> None:
        """Count the seconds that reporting the last probe took."""
        self._schedule.fired(self._seconds + seconds, self._cold)

    def _measure(self, step: int, objective: Chain, draws: int) -> Iterator[tuple[Key, float]]:
        params, measured = self._trainer.params, self._trainer.measured()
        most = MAX_SERIES // (SERIES_OF_A_LAYER * len(measured))
        measurement = probe(
            objective, params, measured, draws=draws, seed=self._seed, step=step, laws=True,
            most_layers=most,
        )  # fmt: skip
        if not self._warm:
            self._notice = _left_out(params, len(measured), most, measurement.layers)
        for metric, layer, estimator, value in measurement.rows():
            yield (metric, layer, estimator), value
        for estimator, lost in measurement.nonfinite.items():
            yield (NONFINITE, "", estimator), float(lost)
        for estimator, lost in measurement.not_converged.items():
            yield (UNCONVERGED, "", estimator), float(lost)
        if measurement.reference_not_converged is not None:
            yield (REFERENCE, "", ""), float(measurement.reference_not_converged)
        yield from self._spectral_radii(objective)
        for estimator, rounding in measurement.rounding.items():
            yield (ROUNDING, "", estimator), rounding.floor
            yield (DIFFERENCE, "", estimator), rounding.difference
        for estimator, counts in measurement.lost.items():
            for layer, count in zip(measurement.layers, counts, strict=True):
                if layer and count:
                    yield (NONFINITE, layer, estimator), float(count)
        for estimator, laws in measurement.laws.items():
            for metric, values in laws.items():
                for layer, value in zip(measurement.layers, values, strict=True):
                    if math.isfinite(value):
                        yield (f"law/{metric}", layer, estimator), value

    def _spectral_radii(self, objective: Chain) -> Iterator[tuple[Key, float]]:
        self.radii = spectral_radii(objective, self._trainer.params)
        for layer, radius in self.radii.items():
            yield (RADIUS, layer, ""), largest_of(radius)
            yield (RADIUS_CONVERGED, layer, ""), radius.converged.double().mean().item()

    def _warm_up(self, step: int, objective: Chain) -> float:
        """Seconds that a whole probe should take at most.

        First calls compile and allocate, and the machine may be busy during the first probe.
        Taking either for the usual cost would make probes too rare for the rest of the run.
        """
        self._timed(step, objective, WARM_UP_DRAWS)
        seconds, _ = self._timed(step, objective, WARM_UP_DRAWS)
        self._warm = True
        return seconds * self._draws / WARM_UP_DRAWS

    def _timed(
        self, step: int, objective: Chain, draws: int
    ) -> tuple[float, list[tuple[Key, float]]]:
        if objective.x.is_cuda:
            torch.cuda.synchronize(objective.x.device)
        start = perf_counter()
        rows = list(self._measure(step, objective, draws))
        return perf_counter() - start, rows


def _left_out(params: Params, estimators: int, most: int, layers: tuple[str, ...]) -> str | None:
    """What a probe does not measure of a network that has too many layers for the lab."""
    if set(params) <= set(layers):
        return None
    kept = "the stages alone are" if len(layers) > 1 else "the whole network alone is"
    return (
        f"the network has {len(params):,} tensors; with {estimators} estimators, at most {most:,} "
        f"layers are measured, so that {kept}: measure fewer estimators, or a part of the network"
    )
