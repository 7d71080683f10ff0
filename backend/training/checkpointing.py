"""Writing a run's checkpoints, resuming from the newest one, and forking from another run's."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from backend.training.batches import Batches
from backend.training.checkpoints import format
from backend.training.checkpoints.files import (
    CheckpointError,
    is_full,
    newest_sound,
    path_of,
    put_away,
    spread,
)
from backend.training.clock import Clock
from backend.training.components.assemble import Assembly
from backend.training.control import Control
from backend.training.divergence import EndOfLosses, first_nonfinite_estimate
from backend.training.probe_schedule import ProbeSchedule
from backend.training.records import Event, changed_component, changed_plugin
from backend.training.solve_watch import SolveWatch
from backend.training.trainer import Trainer

MAX_SHARE = 0.01
"""Of a run's time, for the checkpoints that are spread over it; others are written for safety."""
DISK_FULL = "the disk is full: no checkpoint is written; the earlier ones are kept"


class Checkpointing:
    """The checkpoints of one run in `folder`; without a folder nothing is written or resumed."""

    def __init__(
        self,
        folder: Path | None,
        assembly: Assembly,
        trainer: Trainer,
        clock: Clock,
        schedule: ProbeSchedule,
        control: Control,
        losses: EndOfLosses,
        solves: SolveWatch,
    ) -> None:
        self._folder, self._assembly = folder, assembly
        self._trainer, self._clock = trainer, clock
        self._schedule, self._control = schedule, control
        self._losses, self._solves = losses, solves
        self._disk_full = False
        self._ahead: list[int] = []
        self._seconds = 0.0

    def begin(self, step: int, steps: int) -> None:
        """Note the length of the run, of which `step` updates are made."""
        self._ahead = [each for each in spread(steps) if each > step]

    def due(self, step: int) -> bool:
        """Whether to write one now so that they are spread over the whole run, and the time for it
        is a small share of the run's."""
        if self._folder is None or not self._ahead or step < self._ahead[0]:
            return False
        return self._seconds <= MAX_SHARE * self._clock.total

    def save_spread(self, step: int) -> Iterator[Event]:
        """Write one of those that are spread over the run."""
        start = perf_counter()
        self._ahead = [each for each in self._ahead if each > step]
        yield from self.save(step, durable=False)
        self._seconds += perf_counter() - start

    def save(self, step: int, *, durable: bool = True) -> Iterator[Event]:
        """Write the checkpoint of `step`. If the disk is full the run goes on; an event says so."""
        if self._folder is None:
            return
        state = {
            "trainer": self._trainer.state(),
            "clock": self._clock.state(),
            "stride": self._schedule.state(),
            "control": self._control.state(),
            "plugins": self._plugin_files(),
            "plugins of components": self._files_of_components(),
            "first losses": self._losses.state(),
            "solves": self._solves.state(),
        }
        try:
            format.write(self._folder, step, state, durable=durable)
            self._disk_full = False
        except OSError as error:
            if not is_full(error):
                raise
            if not self._disk_full:
                yield Event(step, "checkpoint", DISK_FULL)
            self._disk_full = True

    def resume(self) -> tuple[int | None, list[Event]]:
        """Go on from the newest checkpoint that is not damaged.

        Returns its step, or None if there is none, and an event for each damaged one.
        """
        if self._folder is None:
            return None, []
        step, wrong = newest_sound(self._folder)
        events = [Event(at, "checkpoint", _passed_over(text, step)) for at, text in wrong.items()]
        for damaged in wrong:
            put_away(self._folder, damaged)
        if step is not None:
            state = self._read(self._folder, step)
            self._load(state)
            changed = [*self._changed_components(state), *self._changed_plugins(state)]
            events += [changed_component(step, what) for what in changed]
        return step, events

    def _load(self, state: Mapping[str, Any]) -> None:
        self._trainer.load(state["trainer"], self._assembly.estimator)
        self._clock.load(state["clock"])
        self._schedule.load(state["stride"])
        if "control" in state:  # checkpoints of the first version have none
            self._control.load(state["control"])
        self._losses.load(state.get("first losses", {}))
        self._solves.load(state.get("solves", {}))

    def fork(self, origin: Path) -> tuple[int, list[Event]]:
        """Begin with the newest checkpoint of another run; its step, and what was taken over.

        Raises CheckpointError if it is gone or damaged.
        """
        step, wrong = newest_sound(origin)
        if step is None:
            what = next(iter(wrong.values()), "the checkpoint is gone")
            raise CheckpointError(f"{what}; this fork has no other to begin with: fork again")
        state = self._read(origin, step)
        changed = self._changed_plugins(state)
        others = self._changed_components(state)
        same = self._trainer.adopt(state["trainer"], changed, "optimizer" not in others)
        self._clock.load(state["clock"])
        self._clock.inherit()
        self._schedule.load(state["stride"])
        optimizer = " and its optimiser's state" if same else "; the optimiser begins anew"
        text = f"begins at step {step:,} of its parent, with its weights{optimizer}"
        return step, [
            Event(step, "fork", text),
            *(changed_plugin(step, label) for label in changed),
            *(changed_component(step, kind) for kind in others),
        ]

    def explain_divergence(self, batches: Batches, broken: int, what: str = "the loss") -> str:
        """Why the loss, or `what` else, was not finite at step `broken`, in a sentence.

        Checking every estimate would slow down all runs, so the steps since the newest checkpoint
        are made again and checked. This moves the trainer back.
        """
        advice = "a lower learning rate may help"
        if broken == 0:  # no update was made
            advice = "look for examples, or initial weights, with huge numbers or none"
        plain = f"{what} was not finite at step {broken:,}; {advice}"
        if self._folder is None or self._disk_full:
            return plain
        start, _ = newest_sound(self._folder)
        if start is None:
            return plain
        state = self._read(self._folder, start)
        self._trainer.load(state["trainer"], self._assembly.estimator)
        return first_nonfinite_estimate(self._trainer, batches, start, broken) or plain

    def _read(self, folder: Path, step: int) -> dict[str, Any]:
        return format.read(path_of(folder, step), self._trainer.chain.x.device)

    def _plugin_files(self) -> dict[str, dict[str, str]]:
        """{label: {plug-in: SHA-256}} of each estimator; see `ComponentIndex.plugin_files`."""
        plugin_files = self._assembly.index.plugin_files
        return {label: plugin_files([e]) for label, e in self._trainer.roles.members}

    def _files_of_components(self) -> dict[str, dict[str, str]]:
        """{kind: {plug-in: SHA-256}} of the components that are no estimators."""
        plugin_files = self._assembly.index.plugin_files
        return {kind: plugin_files([part]) for kind, part in self._assembly.task.items()}

    def _changed_components(self, state: Mapping[str, Any]) -> list[str]:
        """Kinds of the other components whose plug-in file differs from that in a checkpoint."""
        return _changed(self._files_of_components(), state.get("plugins of components", {}))

    def _changed_plugins(self, state: Mapping[str, Any]) -> list[str]:
        """Labels of the estimators whose plug-in file differs from that in a checkpoint."""
        return _changed(self._plugin_files(), state.get("plugins", {}))


def _changed(
    now: Mapping[str, Mapping[str, str]], before: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Who uses a plug-in of another SHA-256 than `before`."""
    return [
        who
        for who, files in now.items()
        if any(before.get(who, {}).get(name, sha) != sha for name, sha in files.items())
    ]


def _passed_over(message: str, step: int | None) -> str:
    """What is wrong with a checkpoint, and from where the run goes on instead."""
    if step is None:
        return f"{message}; no other is left, so the run begins again"
    return f"{message}; the run goes on from step {step:,}"
