"""Orders to a run: cancel, pause, resume, step, and a change of learning rate or driver.

Each function changes the columns of a run or raises ConflictError if its status forbids that. The
worker gets the orders with the answer to its next report.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from backend.config import ACTIVE
from backend.store.base import ConflictError
from backend.store.tables import Run, now

Action = Literal["cancel", "pause", "resume", "step"]

MAX_CHANGES = 200
"""Changes of one run: every answer to its worker carries them all."""
MAX_ESTIMATORS = 16
"""A driver and its shadows: each probe measures them all."""


def apply(run: Run, action: Action, to: int | None = None) -> None:
    """Carry out an action; `to` is the step to pause at after `step`."""
    _ACTIONS[action](run, to)


def cancel(run: Run, _to: int | None = None) -> None:
    """End the run early: at once if it is queued or set aside, else by its worker."""
    require(run, "be cancelled", *ACTIVE)
    if run.status == "queued" or run.set_aside:
        end(run, "cancelled")
    run.cancel = True


def pause(run: Run, _to: int | None = None) -> None:
    """Let the run wait at the step that it has reached."""
    _require_started(run, "be paused")
    if run.status != "paused":
        run.run_until = run.step
    if run.status == "queued":
        release(run)


def hold(run: Run) -> None:
    """Pause a run with the others of its study, also one that was never started."""
    if run.status == "queued" and run.attempt == 0:
        run.run_until = run.step
        release(run)
    else:
        pause(run)


def resume(run: Run, _to: int | None = None) -> None:
    """Let a paused run go on to its end; one that was set aside is queued."""
    _require_started(run, "be resumed")
    run.run_until = None
    _queue_if_set_aside(run)


def step(run: Run, to: int | None) -> None:
    """Let the run go on to step `to` and wait there; one that was set aside is queued."""
    _require_started(run, "be stepped")
    open_ended = run.kind == "attached" and run.config.get("steps") is None
    if to is None or (to > run.steps and not open_ended):
        raise ConflictError(f"step {to} is past the end: run {run.number} has {run.steps} steps")
    # An absolute step, and never backwards: repeating the request changes nothing.
    run.run_until = max(to, run.step, run.run_until if run.run_until is not None else 0)
    if not run.held:
        _queue_if_set_aside(run)


_ACTIONS: dict[Action, Callable[[Run, int | None], None]] = {
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
    "step": step,
}


def release(run: Run) -> None:
    """The run's worker has ended with a checkpoint: the run waits without a slot if its orders are
    to wait, else for a slot."""
    run.status = "paused" if run.held else "queued"
    run.stop = run.held


def _queue_if_set_aside(run: Run) -> None:
    if run.set_aside:
        run.status = "queued"


def _require_started(run: Run, verb: str) -> None:
    """Raise ConflictError unless the run is running or paused, or is queued to be gone on with."""
    if run.status != "queued" or run.attempt == 0:
        require(run, verb, "running", "paused")


def change(run: Run, lr: float | None, driver: Mapping[str, Any] | None) -> None:
    """Add a change of the base learning rate, of the driver `{"label", "estimator"}`, or both.

    For an estimator that the run has already, the label suffices.
    """
    require_changeable(run)
    require(run, "be changed", *ACTIVE)
    if len(run.changes) >= MAX_CHANGES:
        raise ConflictError(
            f"run {run.number} was changed {len(run.changes)} times; at most {MAX_CHANGES} are kept"
        )
    order: dict[str, Any] = {"id": len(run.changes) + 1}
    if lr is not None:
        order["lr"] = lr
    if driver is not None:
        _require_new_driver(run, driver["label"])
        order["driver"] = dict(driver)
    run.changes = [*run.changes, order]


def require_changeable(run: Run) -> None:
    """Raise ConflictError unless the lab itself trains the run."""
    if run.kind == "attached":
        raise ConflictError(
            f"run {run.number} is a training loop of your own: change it in its script"
        )
    if run.kind != "training":
        raise ConflictError(f"run {run.number} is a {run.kind}, which trains nothing")


def labels_after_changes(run: Run) -> tuple[str, list[str]]:
    """The driver and all labels of a run, once every change so far is applied."""
    driver = str(run.labels.get("driver", ""))
    labels = [driver, *run.labels.get("shadows", ())]
    for order in run.changes:
        if "driver" in order:
            driver = order["driver"]["label"]
            labels += [driver] if driver not in labels else []
    return driver, labels


def _require_new_driver(run: Run, label: str) -> None:
    driver, labels = labels_after_changes(run)
    if label == driver:
        raise ConflictError(f"run {run.number} is driven by {label} already")
    if label not in labels and len(labels) >= MAX_ESTIMATORS:
        raise ConflictError(
            f"run {run.number} has {len(labels)} estimators; at most {MAX_ESTIMATORS} are "
            "measured: choose one of its shadows"
        )


def require(run: Run, verb: str, *allowed: str) -> None:
    """Raise ConflictError unless the run has one of the allowed statuses."""
    if run.status not in allowed:
        raise ConflictError(
            f"run {run.number} is {run.status}; only a {' or '.join(allowed)} run can {verb}"
        )


def end(run: Run, status: str, error: str | None = None) -> None:
    """End a run that is active; one that has ended stays as it is."""
    if run.status in ACTIVE:
        run.status, run.finished = status, now()
        run.error = error
