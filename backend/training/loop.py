"""`train`: one attempt at a run, as a stream of records."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from backend.config import RunConfig
from backend.training import preload
from backend.training.checkpoints import format
from backend.training.checkpoints.files import checkpoint_steps, is_full, path_of, resume_step
from backend.training.clock import Clock
from backend.training.components.assemble import Labelled, assemble
from backend.training.control import Control
from backend.training.devices import find_device
from backend.training.divergence import autopsy
from backend.training.facts import facts
from backend.training.losses.contract import Plan
from backend.training.point_buffer import Pending
from backend.training.probe_schedule import Stride
from backend.training.probes import Probes
from backend.training.records import (
    End,
    Ended,
    Event,
    Facts,
    Progress,
    Record,
    Status,
    another_file,
)
from backend.training.surface_path import SurfacePath
from backend.training.trainer import Trainer
from estimators.core.objective import Chain

FLUSH_SECONDS = 0.1
CHECKPOINT_SECONDS = 10.0
HEARTBEAT_SECONDS = 1.0

preload.preload_imports()


def train(
    config: RunConfig,
    control: Control | None = None,
    *,
    checkpoint_dir: Path | None = None,
    plugin_dirs: Sequence[Path | str] = (),
    device: str | None = None,
    origin: Path | None = None,
) -> Iterator[Record]:
    """Train, from the newest checkpoint in `checkpoint_dir` if there is one; else from that of
    another run in `origin`, if there is one.

    Yields `Facts` first, then flushes about every 100 ms (each ends with a `Progress`; while
    paused, one a second), and one `Ended` last: an exception in the run becomes `Ended` with
    status failed and the traceback. `device` overrides the configuration's.
    """
    run = None
    try:
        run = Run(config, control or Control(), checkpoint_dir, plugin_dirs, device, origin)
        yield from run.records()
    except Exception:
        text = traceback.format_exc()
        if run is not None:
            yield from run.pending.flush()[0]
        yield Ended("failed", run.step if run else 0, text)


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
        self._control, self._folder = control, folder
        self._assembly = assemble(config, plugin_dirs)
        self.step, self.pending = 0, Pending(self._assembly.driver.label)
        self._prepare(config, find_device(device or config.device))
        self._new = not self._resume()
        self._forked: list[Event] = []
        if self._new and origin is not None and checkpoint_steps(origin):
            self._forked = self._fork(origin)
        self._first = (self.step, self._clock.total)
        self._broken: int | None = None
        self._full = False
        self._next_flush, self._next_save = 0.0, perf_counter() + CHECKPOINT_SECONDS

    def _prepare(self, config: RunConfig, device: torch.device) -> None:
        seed, assembly = config.seed, self._assembly
        split = assembly.dataset.load(seed).to(device)
        self._clock = Clock()
        self._batches = assembly.batches(split.train, config.batch_size, seed)
        self._steps = config.steps or self._batches.steps(config.epochs or 1)
        self._trainer = Trainer(assembly, self._batches.at(0), self._steps, seed, self._clock)
        plan = Plan(split, self._steps, config.batch_size, seed)
        self._evaluation = assembly.loss.evaluation(self._trainer.module, assembly.dataset, plan)
        self._trail = SurfacePath(self._trainer.module, assembly.dataset, split.train.x[0])
        self._stride = Stride(self._steps, config.probe.budget, config.probe.every)
        self._probes = Probes(self._trainer, self._stride, config.probe.draws, seed, self._clock)

    def records(self) -> Iterator[Record]:
        """Everything from `Facts` to `Ended`."""
        yield self._facts(self.step)
        yield from self._forked
        if self._new:
            yield from self._save()
        while (end := self._end()) is None:
            yield from self._housekeeping()
            if self._control.holds(self.step):
                yield from self._pause()
            elif self._end() is None:
                yield from self._advance()
        yield from self._close(end)

    def _facts(self, resumed_at: int) -> Facts:
        lineup = self._trainer.lineup
        known = self._assembly.known.files([e.estimator for e in lineup.members])
        assembly = replace(
            self._assembly, driver=lineup.driver, shadows=lineup.shadows, plugins=known
        )
        found = facts(assembly, self._trainer, resumed_at)
        return replace(found, labels=lineup.labels, drives=lineup.drives)

    def _end(self) -> End | None:
        if self._broken is not None:
            return "diverged"
        if self._control.cancel:
            return "cancelled"
        if self._control.stop:
            return "stopped"
        return "finished" if self.step >= self._steps else None

    def _housekeeping(self) -> Iterator[Record]:
        """What is due between two updates: changes, a flush, a checkpoint."""
        if self._control.changes:
            yield from self._apply()
        now = perf_counter()
        save = now >= self._next_save
        if save or now >= self._next_flush:
            yield from self._flush()
        if save and self._broken is None:
            yield from self._save()

    def _advance(self) -> Iterator[Record]:
        """One update, with the evaluation and the probe that are due before it."""
        step = self.step
        if self._evaluation.due(step):
            self._evaluate()
        objective = self._trainer.objective(self._batches.at(step))
        if self._probes.due(step):
            yield from self._flush()
            if self._broken is not None:
                return
            yield from self._probe(step, objective)
        self._mark()
        estimate = self._trainer.update(step, objective)
        self.pending.add_step(step, estimate.loss, estimate.info)
        self.step = step + 1

    def _probe(self, step: int, objective: Chain) -> Iterator[Record]:
        """Measure and tell of it at once; both are the probe's time."""
        with self._clock.probing():
            for key, value in self._probes.fire(step, objective):
                self.pending.add(key, step, value)
            start = perf_counter()
            yield from self._flush()
            self._probes.told(perf_counter() - start)

    def _mark(self) -> None:
        for key, value in self._trail.at():
            self.pending.add(key, self.step, value)

    def _evaluate(self) -> None:
        step = self.step
        self.pending.add(("train/learning_rate", "", ""), step, self._trainer.rate(step))
        self.pending.add(("train/seconds", "", ""), step, self._clock.training)
        with self._clock.evaluating():
            for metric, value in self._evaluation.along(step):
                self.pending.add((metric, "", ""), step, value)

    def _flush(self) -> Iterator[Record]:
        points, broken = self.pending.flush()
        self._broken = broken if self._broken is None else self._broken
        yield from points
        yield self._progress("running")
        self._next_flush = perf_counter() + FLUSH_SECONDS

    def _progress(self, status: Status) -> Progress:
        step = self.step if self._broken is None else self._broken
        first, then = self._first
        rate = (self.step - first) / max(1e-9, self._clock.total - then)
        return Progress(step, self._steps, rate, self._clock.own, status)

    def _pause(self) -> Iterator[Record]:
        yield from self._flush()
        if self._broken is not None:
            return
        with self._clock.paused():
            yield from self._save()
            yield Event(self.step, "paused", f"paused at step {self.step:,}")
            while self._control.holds(self.step):
                yield self._progress("paused")
                self._control.wait(self.step, HEARTBEAT_SECONDS)
                yield from self._apply()

    def _apply(self) -> Iterator[Record]:
        """Take over changes, each once; a checkpoint soon keeps where."""
        if self._control.changes:
            yield from self._flush()  # what was kept so far is the former driver's
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
                yield from self._switch(**change["driver"])

    def _switch(self, label: str, estimator: Any = None) -> Iterator[Record]:
        lineup = self._trainer.lineup
        text = f"driver changed from {lineup.driver.label} to {label}"
        new = lineup.find(label) or self._assembly.estimator(estimator)
        self._trainer.switch(self.step, Labelled(label, new))
        self.pending.driver = label
        yield Event(self.step, "change", text)
        yield self._facts(self._first[0])

    def _close(self, end: End) -> Iterator[Record]:
        if self._broken is None:
            yield from self._flush()
        if self._broken is None and end in ("finished", "stopped"):
            yield from self._save()
        if self._broken is None and end == "finished":
            self._evaluate()
            self._mark()
            for metric, value in self._evaluation.last():
                self.pending.add((metric, "", ""), self.step, value)
            yield from self._flush()
        if self._broken is not None:
            yield Ended("diverged", self._broken, self._why())
        else:
            yield Ended(end, self.step)

    def _why(self) -> str:
        """Whether the loss broke, or the driver's estimate before it."""
        broken = self._broken or 0
        told = f"the loss was not finite at step {broken:,}; a lower learning rate may help"
        if self._folder is None or self._full or not checkpoint_steps(self._folder):
            return told
        # A check at every step would slow all runs: those since the checkpoint are made again.
        start = resume_step(self._folder)
        state = format.read(path_of(self._folder, start), self._trainer.chain.x.device)
        self._trainer.load(state["trainer"], self._assembly.estimator)
        return autopsy(self._trainer, self._batches, start, broken) or told

    def _save(self) -> Iterator[Record]:
        """Write a checkpoint; without room for it the run goes on, and says so once."""
        self._next_save = perf_counter() + CHECKPOINT_SECONDS
        if self._folder is None:
            return
        parts = {
            "trainer": self._trainer,
            "clock": self._clock,
            "stride": self._stride,
            "control": self._control,
        }
        state = {name: part.state() for name, part in parts.items()} | {"plugins": self._files()}
        try:
            format.write(self._folder, self.step, state)
            self._full = False
        except OSError as error:
            if not is_full(error):
                raise
            if not self._full:
                kept = "the disk is full: no checkpoint is written; the earlier ones are kept"
                yield Event(self.step, "checkpoint", kept)
            self._full = True

    def _fork(self, origin: Path) -> list[Event]:
        """Begin where another run was, with its weights and its clock; what was taken over."""
        self.step = resume_step(origin)
        state = format.read(path_of(origin, self.step), self._trainer.chain.x.device)
        changed = self._changed(state.get("plugins", {}))
        same = self._trainer.adopt(state["trainer"], changed)
        self._clock.load(state["clock"])
        self._clock.inherit()
        self._stride.load(state["stride"])
        optimizer = " and its optimiser's state" if same else "; the optimiser begins anew"
        text = f"begins at step {self.step:,} of its parent, with its weights{optimizer}"
        return [
            Event(self.step, "fork", text),
            *(another_file(self.step, label) for label in changed),
        ]

    def _files(self) -> dict[str, dict[str, str]]:
        """By label, the plug-in files of each estimator, as `ComponentIndex.files` tells them."""
        found = self._assembly.known.files
        return {label: found([e]) for label, e in self._trainer.lineup.members}

    def _changed(self, before: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Labels whose plug-in's file is another one than `before`."""
        return [
            label
            for label, files in self._files().items()
            if any(before.get(label, {}).get(name, sha) != sha for name, sha in files.items())
        ]

    def _resume(self) -> bool:
        """Go on from the newest checkpoint; whether there is one."""
        if self._folder is None or not checkpoint_steps(self._folder):
            return False
        self.step = resume_step(self._folder)
        path = path_of(self._folder, self.step)
        state = format.read(path, self._trainer.chain.x.device)
        self._trainer.load(state["trainer"], self._assembly.estimator)
        self.pending.driver = self._trainer.lineup.driver.label
        self._clock.load(state["clock"])
        self._stride.load(state["stride"])
        if "control" in state:  # a checkpoint of the lab's first version has none
            self._control.load(state["control"])
        return True
