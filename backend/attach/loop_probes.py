"""`LoopProbes`: when and how the estimators are measured in a loop of the user's own."""

import logging
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from backend.attach.user_network import UserNetwork
from backend.config import Probe
from backend.training.clock import Clock
from backend.training.components.assemble import Labelled
from backend.training.facts import facts_of
from backend.training.point_buffer import PointBuffer
from backend.training.probe_schedule import OpenEndedSchedule, ProbeSchedule
from backend.training.probes import Probes
from backend.training.records import Event, Record

FAILURES = 3
"""Failed probes in a row after which there are no more."""

_log = logging.getLogger("gradlab")

Report = Callable[[Iterable[Record]], None]


class LoopProbes:
    """Measures a network in training at its present weights, within a budget of time."""

    def __init__(
        self,
        network: UserNetwork,
        probe: Probe,
        steps: int | None,
        seed: int,
        clock: Clock,
        buffer: PointBuffer,
    ) -> None:
        self._network, self._buffer = network, buffer
        self._schedule = (
            OpenEndedSchedule(0, probe.budget, probe.every)
            if steps is None
            else ProbeSchedule(steps, probe.budget, probe.every)
        )
        self._probes = Probes(network, self._schedule, probe.draws, seed, clock)
        self._active = bool(network.estimators) and probe.possible
        self._failed, self._begun = 0, False

    def before(self, count: int, step: int, batch: Any, report: Report) -> None:
        """Measure on `batch` if a probe is due at the `count`-th step, which the user calls `step`,
        and move the estimators' states on. `report` flushes the buffer behind the records."""
        due = self._active and self._probes.due(count)
        if not due and not (self._active and self._network.has_states):
            return
        with self._network.undisturbed():
            if due:
                self._measure(step, batch, report)
            if self._network.has_states and self._begun:
                self._network.advance(step, self._network.objective(batch))

    def _measure(self, step: int, batch: Any, report: Report) -> None:
        """An error in the first probe is raised, so that what does not fit is told at once; later
        ones are reported, and the training goes on."""
        try:
            objective = self._network.objective(batch)
            for key, value in self._probes.fire(step, objective):
                self._buffer.add(key, step, value)
        except Exception as error:
            if not self._begun:
                raise
            report([self._failure(step, error)])
            return
        records = [] if self._begun else self._beginning(step, batch)
        self._begun, self._failed = True, 0
        start = perf_counter()
        report(records)
        self._probes.reported(perf_counter() - start)

    def _beginning(self, step: int, batch: Any) -> list[Record]:
        """What is known of the network once it was measured."""
        members = [Labelled(*pair) for pair in self._network.estimators.items()]
        facts = facts_of(self._network, members, None)
        texts = [*self._network.notices, *self._probes.take_notice()]
        return [facts, *(Event(step, "objective", text) for text in texts)]

    def _failure(self, step: int, error: Exception) -> Event:
        self._failed += 1
        self._active = self._failed < FAILURES
        rest = "" if self._active else f"; after {FAILURES} in a row there are no more probes"
        text = f"the probe at step {step:,} failed: {type(error).__name__}: {error}{rest}"
        _log.warning(text)
        return Event(step, "finding", text[:1000])
