"""`Control`: orders to a run in progress (pause, cancel, stop, changes), read at every step."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

Change = dict[str, Any]
"""`{"id": 1, "lr": 0.05, "driver": {"label", "estimator"}}`: a new base learning rate, a new
driver, or both; applied once. Ids ascend from 1."""


class Control:
    """The server's latest orders, shared between the reporting thread and the training loop."""

    def __init__(self, run_until: int | None = None) -> None:
        self.run_until = run_until
        """Pause when this many updates are made; None: train to the end."""
        self.cancel = False
        self.stop = False
        """Write a checkpoint and end as `stopped`, to be resumed later."""
        self.changes: tuple[Change, ...] = ()
        """The changes that are not applied yet."""
        self.applied = 0
        """The id of the last applied change; a checkpoint keeps it."""
        self._changed = threading.Condition()

    def update(
        self,
        run_until: int | None = None,
        cancel: bool = False,
        stop: bool = False,
        changes: Sequence[Change] = (),
    ) -> None:
        """Take over new orders and wake a waiting loop. `cancel` and `stop` are never undone.

        `changes` are all changes of the run so far; those already applied are skipped.
        """
        with self._changed:
            self.run_until = run_until
            self.cancel = self.cancel or cancel
            self.stop = self.stop or stop
            if changes:
                self.changes = self._unapplied(changes)
            self._changed.notify_all()

    def take(self) -> tuple[Change, ...]:
        """Remove and return the changes to apply now."""
        with self._changed:
            taken, self.changes = self.changes, ()
            self.applied = max((change["id"] for change in taken), default=self.applied)
        return taken

    def state(self) -> dict[str, int]:
        """The last applied change, for a checkpoint."""
        return {"applied": self.applied}

    def load(self, state: Mapping[str, int]) -> None:
        """Go on from what `state` returned: later changes are applied again."""
        with self._changed:
            self.applied = state["applied"]
            self.changes = self._unapplied(self.changes)

    def _unapplied(self, changes: Sequence[Change]) -> tuple[Change, ...]:
        return tuple(change for change in changes if change["id"] > self.applied)

    def holds(self, step: int) -> bool:
        """Whether a run that has made `step` updates is paused."""
        until = self.run_until
        return until is not None and step >= until and not (self.cancel or self.stop)

    def wait(self, step: int, timeout: float) -> None:
        """Block while the run is paused and no change comes, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self.holds(step) or bool(self.changes), timeout)
