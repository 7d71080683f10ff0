"""`train`: one attempt at a training run, as a stream of records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

import torch

from backend.config import RunConfig
from backend.training.checkpointing import Checkpointing
from backend.training.clock import Clock
from backend.training.components.assemble import Labelled, assemble, find_device
from backend.training.components.index import preload_imports
from backend.training.control import Control
from backend.training.datasets.contract import load_checked
from backend.training.divergence import DIVERGED, FINDING, EndOfLosses, nonfinite_weights
from backend.training.evaluation.evaluation import ShownExamples
from backend.training.facts import facts
from backend.training.failures import failed
from backend.training.losses.contract import Plan
from backend.training.memory.need import require_memory
from backend.training.networks.point import SurfacePath
from backend.training.point_buffer import PointBuffer
from backend.training.probe_schedule import ProbeSchedule
from backend.training.probes import Probes
from backend.training.records import (
    End,
    Ended,
    Event,
    Facts,
    Progress,
    Record,
    Status,
    changed_while_queued,
)
from backend.training.solve_watch import SolveWatch
from backend.training.trainer import Trainer
from estimators.core.contract import UnsupportedError
from estimators.core.objective import Chain

FLUSH_SECONDS = 0.1
CHECKPOINT_SECONDS = 10.0
HEARTBEAT_SECONDS = 1.0

preload_imports()


def train(
    config: RunConfig,
    control: Control | None = None,
    *,
    checkpoint_dir: Path | None = None,
    plugin_dirs: Sequence[Path | str] = (),
    device: str | None = None,
    origin: Path | None = None,
    queued_plugins: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Record]:
    """Train to the end, or until `control` says otherwise.

    Training resumes from the newest checkpoint in `checkpoint_dir` if there is one, else begins
    with the one of another run in `origin` (a fork) if there is one, else with initial weights.

    Yields `Facts` first, then a flush about every 100 ms (each ends with a `Progress`; while
    paused, one a second), and `Ended` last. An exception in the run becomes `Ended` with status
    failed, a sentence and the traceback. `device` overrides the configuration's.
    `queued_plugins` are the hashes of the plug-ins when the run was queued (`Assembly.plugins`): an
    event says which have changed since.
    """
    run = None
    try:
        run = Run(config, control or Control(), checkpoint_dir, plugin_dirs, device, origin)
        yield from run.records(queued_plugins)
    except (GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plug-in may raise SystemExit too
        if run is not None:
            yield from run.buffer.flush()[0]
            yield run.progress("running")
        yield failed(run.step if run else 0, error)


class Run:
    """One attempt. At step s, s updates have been made."""

    def __init__(
        self,
        config: RunConfig,
        control: Control,
        folder: Path | None,
        plugin_dirs: Sequence[Path | str],
        device: str | None,
        origin: Path | None = None,
    ) -> None:
        self._control = control
        self._assembly = assemble(config, plugin_dirs)
        place = find_device(device or config.device)
        warning = require_memory(self._assembly, config, place)
        self._prepare(config, place, folder)
        self.step, self._resumed = 0, False
        self._events: list[Event] = []
        self._begin(origin)
        self._checkpoints.begin(self.step, self._steps)
        if warning:
            self._events.append(Event(self.step, "memory", warning))
        self.buffer = PointBuffer(self._trainer.roles.driver.label)
        self._first = (self.step, self._clock.total)
        self._broken: int | None = None
        self._broken_weights = ""
        self._next_flush, self._next_save = 0.0, perf_counter() + CHECKPOINT_SECONDS

    def _prepare(self, config: RunConfig, device: torch.device, folder: Path | None) -> None:
        seed, assembly = config.seed, self._assembly
        split = load_checked(assembly.dataset, seed, uses_classes=assembly.loss.uses_classes).to(
            device
        )
        self._clock, self._losses = Clock(), EndOfLosses()
        self._batches = assembly.batches(split.train, config.batch_size, seed)
        self._steps = config.steps or self._batches.steps(config.epochs or 1)
        self._trainer = Trainer(assembly, self._batches.at(0), self._steps, seed, self._clock)
        plan = Plan(split, self._steps, config.batch_size, seed)
        self._evaluation = assembly.loss.evaluation(self._trainer.module, assembly.dataset, plan)
        self._shown = ShownExamples(
            self._trainer.module, assembly.dataset, split, config.shown_examples
        )
        self._path = SurfacePath(self._trainer.module, assembly.dataset, split.train.first(1).x[0])
        schedule = ProbeSchedule(self._steps, config.probe.budget, config.probe.every)
        self._solves = SolveWatch(config.on_unconverged_solve)
        self._probes = Probes(self._trainer, schedule, config.probe.draws, seed, self._clock)
        self._checkpoints = Checkpointing(
            folder, assembly, self._trainer, self._clock, schedule, self._control, self._losses,
            self._solves,
        )  # fmt: skip

    def _begin(self, origin: Path | None) -> None:
        """Resume from the run's own checkpoint, or begin as a fork of the run in `origin`."""
        resumed_at, self._events = self._checkpoints.resume()
        if resumed_at is not None:
            self.step, self._resumed = resumed_at, True
        elif origin is not None and origin.is_dir():
            self.step, events = self._checkpoints.fork(origin)
            self._events += events

    def records(self, queued_plugins: Mapping[str, str] = MappingProxyType({})) -> Iterator[Record]:
        """Everything from `Facts` to `Ended`."""
        yield self._facts(self.step)
        yield from self._events
        if not self._resumed:
            yield from changed_while_queued(self.step, queued_plugins, self._assembly.plugins)
            yield from (Event(self.step, "objective", text) for text in self._trainer.notices)
            yield from (Event(self.step, "network", text) for text in self._assembly.inferred())
            yield from self._save()
        while (end := self._end()) is None:
            yield from self._between_updates()
            if self._control.holds(self.step):
                yield from self._wait_while_paused()
            elif self._end() is None:
                yield from self._update()
        yield from self._close(end)

    def _facts(self, resumed_at: int) -> Facts:
        roles = self._trainer.roles
        assembly = replace(self._assembly, driver=roles.driver, shadows=roles.shadows)
        of_driver = facts(assembly, self._trainer, resumed_at)
        return replace(of_driver, labels=roles.labels, drives=roles.drives)

    def _end(self) -> End | None:
        if self._broken is not None:
            return "diverged"
        if self._solves.end:
            return "failed"
        if self._control.cancel:
            return "cancelled"
        if self._control.stop:
            return "stopped"
        return "finished" if self.step >= self._steps else None

    def _between_updates(self) -> Iterator[Record]:
        """Apply changes, flush, and write a checkpoint, each if it is due."""
        if self._control.changes:
            yield from self._apply_changes()
        now = perf_counter()
        timed, spread = now >= self._next_save, self._checkpoints.due(self.step)
        if timed or spread or now >= self._next_flush:
            yield from self._flush()
        if (timed or spread) and self._broken is None and not self._weights_are_broken():
            yield from self._save() if timed else self._checkpoints.save_spread(self.step)

    def _update(self) -> Iterator[Record]:
        """One update, after the evaluation and the probe that are due before it."""
        step = self.step
        if self._evaluation.due(step):
            self._evaluate()
        objective = self._trainer.objective(self._batches.at(step), step)
        if self._probes.due(step):
            yield from self._flush()
            if self._broken is not None:
                return
            yield from self._probe(step, objective)
        self._keep_path()
        estimate, solves = self._trainer.estimate(step, objective), self._trainer.solves
        self.buffer.add_step(step, estimate.loss, self._solves.reports(estimate.info, solves))
        for finding in self._solves.look(step, solves):
            yield from self._flush()  # a run that has diverged before has nothing more to tell
            if self._broken is None or step <= self._broken:
                yield finding
        if not self._solves.end:
            self._trainer.apply(step, objective, estimate)
            self.step = step + 1

    def _probe(self, step: int, objective: Chain) -> Iterator[Record]:
        """Measure and report at once; the time of both counts as the probe's."""
        with self._clock.probing():
            for key, value in self._probes.fire(step, objective):
                self.buffer.add(key, step, value)
            start = perf_counter()
            yield from self._flush()
            self._probes.reported(perf_counter() - start)
        yield from (Event(step, "objective", text) for text in self._probes.take_notice())
        yield from self._solves.look_at_radii(step, self._probes.radii)

    def _keep_path(self) -> None:
        for metric, value in self._path.position():
            self.buffer.add((metric, "", ""), self.step, value)

    def _evaluate(self) -> None:
        step = self.step
        self.buffer.add(("train/learning_rate", "", ""), step, self._trainer.rate(step))
        self.buffer.add(("train/seconds", "", ""), step, self._clock.training)
        with self._clock.evaluating():
            for metric, value in (*self._evaluation.along(step), *self._shown.predictions()):
                self.buffer.add((metric, "", ""), step, value)

    def _flush(self) -> Iterator[Record]:
        points, broken = self.buffer.flush()
        self._broken = broken if self._broken is None else self._broken
        for each in points:
            self._losses.add(each)
        yield from points
        yield self.progress("running")
        self._next_flush = perf_counter() + FLUSH_SECONDS

    def progress(self, status: Status) -> Progress:
        """How far the run is."""
        step = self.step if self._broken is None else self._broken
        first, then = self._first
        rate = (self.step - first) / max(1e-9, self._clock.total - then)
        return Progress(step, self._steps, rate, self._clock.own, status)

    def _save(self) -> Iterator[Record]:
        self._next_save = perf_counter() + CHECKPOINT_SECONDS
        return self._checkpoints.save(self.step)

    def _wait_while_paused(self) -> Iterator[Record]:
        """Write a checkpoint and wait until the run is resumed; changes are applied meanwhile."""
        yield from self._flush()
        if self._broken is not None:
            return
        with self._clock.paused():
            yield from self._save()
            yield Event(self.step, "paused", f"paused at step {self.step:,}")
            while self._control.holds(self.step):
                yield self.progress("paused")
                self._control.wait(self.step, HEARTBEAT_SECONDS)
                yield from self._apply_changes()

    def _apply_changes(self) -> Iterator[Record]:
        """Apply each new change once, and soon write a checkpoint that knows of it."""
        if self._control.changes:
            yield from self._flush()  # what the buffer holds is the former driver's
        if self._broken is not None:
            return
        for change in self._control.take():
            self._next_save = 0.0
            if "lr" in change:
                rate = float(change["lr"])
                text = f"learning rate changed from {self._trainer.lr:g} to {rate:g}"
                self._trainer.lr = rate
                yield Event(self.step, "change", text)
            if "driver" in change:
                yield from self._switch_driver(**change["driver"])

    def _switch_driver(self, label: str, estimator: Any = None) -> Iterator[Record]:
        roles = self._trainer.roles
        text = f"driver changed from {roles.driver.label} to {label}"
        new = Labelled(label, roles.find(label) or self._assembly.estimator(estimator))
        try:
            self._trainer.refuse(new)
        except UnsupportedError as error:  # the form cannot know that examples are coupled
            yield Event(self.step, "change", f"driver not changed: {error}")
            yield self._facts(self._first[0])
            return
        self._trainer.switch(self.step, new)
        self.buffer.driver = label
        yield Event(self.step, "change", text)
        yield self._facts(self._first[0])

    def _close(self, end: End) -> Iterator[Record]:
        """The last flush and checkpoint; a finished run is evaluated on the test part."""
        if self._broken is None:
            yield from self._flush()
        if self._solves.end:  # the weights are those before the update, whatever the loss was
            self._broken = None
        goes_on = self._broken is None and end in ("finished", "stopped", "failed")
        if goes_on and not self._weights_are_broken():
            yield from self._save()
        if self._broken is None and end == "finished":
            self._evaluate()
            self._keep_path()
            for metric, value in self._evaluation.last():
                self.buffer.add((metric, "", ""), self.step, value)
            yield from self._flush()
        if self._broken is not None:
            what = self._broken_weights or "the loss"
            reason = self._checkpoints.explain_divergence(self._batches, self._broken, what)
            yield Ended("diverged", self._broken, reason)
        elif end == "finished" and self._losses.rise > DIVERGED:
            yield Ended("diverged", self.step, self._losses.sentence)
        else:
            if end == "finished" and self._losses.rise > FINDING:
                yield Event(self.step, "finding", self._losses.sentence)
            yield Ended(end, self.step, self._solves.end or None)

    def _weights_are_broken(self) -> bool:
        self._broken_weights = nonfinite_weights(self._trainer)
        if self._broken_weights:
            self._broken = self.step
        return self._broken is not None
