"""The checkpoints of a run that others may begin with, and the copy that such a run keeps."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.jobs.run_folders import checkpoints, kept_checkpoint, run_folder
from backend.store import Run, Store
from backend.store.base import ConflictError, MissingError
from backend.store.tables import new_id
from backend.training.checkpoints import files

MAX_STEPS_NAMED = 8
"""Steps that an error message lists."""


def checkpoint_folder(home: Path, run: Run) -> Path:
    """The folder of a training run's checkpoints, or of the one that a microscope measures at."""
    if run.kind == "microscope":
        return kept_checkpoint(home, run.id)
    return checkpoints(home, run.id)


def available_steps(home: Path, run: Run) -> list[int]:
    """The steps of the run's checkpoints, ascending."""
    return files.checkpoint_steps(checkpoint_folder(home, run))


def choose_step(home: Path, run: Run, step: int | None) -> int:
    """The requested step, or the newest for None.

    Raises ConflictError if there is no checkpoint or it is damaged, and MissingError with the
    available steps if there is none of that step.
    """
    available = available_steps(home, run)
    if run.kind == "attached":
        raise ConflictError(
            f"run {run.number} is a training loop of your own, which has no checkpoint here: "
            "measure it in its script, with gradlab.measure"
        )
    if not available:
        raise ConflictError(
            f"run {run.number} has no checkpoint; it writes the first as soon as it starts"
        )
    step = available[-1] if step is None else step
    if step not in available:
        names = [f"{s:,}" for s in available]
        if len(names) > MAX_STEPS_NAMED:
            names = [*names[: MAX_STEPS_NAMED - 1], "…", names[-1]]
        raise MissingError(
            f"run {run.number} has no checkpoint of step {step:,}; it has {', '.join(names)}"
        )
    if damage := _damage(files.path_of(checkpoint_folder(home, run), step)):
        raise ConflictError(f"run {run.number}: {damage}; take another one")
    return step


def _damage(path: Path) -> str:
    """See `files.damage`. A checkpoint that is deleted at this moment is missed later."""
    try:
        return files.damage(path)
    except FileNotFoundError:
        return ""


def config_at(home: Path, run: Run, step: int) -> dict[str, Any]:
    """See `files.config_at`.

    Raises ConflictError if the checkpoint cannot be read, and MissingError if it was deleted at
    this moment.
    """
    try:
        return files.config_at(files.path_of(checkpoint_folder(home, run), step))
    except FileNotFoundError:
        raise _gone(run, step) from None
    except ValueError as error:
        raise ConflictError(f"run {run.number}: {error}") from error


def resumed_at(home: Path, run: Run) -> int:
    """The step at which the next attempt begins: that of the newest sound checkpoint of the run, or
    of the one that a fork begins with, else 0.

    Raises CheckpointError if a fork has lost its parent's checkpoint.
    """
    own, _ = files.newest_sound(checkpoints(home, run.id))
    if own is not None or run.kind != "training" or run.parent_step is None:
        return own or 0
    step, _ = files.newest_sound(kept_checkpoint(home, run.id))
    if step is None:
        raise files.CheckpointError(
            f"the checkpoint of step {run.parent_step:,} with which this fork begins is gone or "
            "damaged; fork again"
        )
    return step


def queue_from_checkpoint(
    store: Store, home: Path, run: Run, step: int, columns: Mapping[str, Any]
) -> Run:
    """Queue a run that begins with a checkpoint of `run`, which it keeps whatever becomes of it."""
    new_run = new_id("r")
    keep(home, run, step, new_run)
    try:
        (queued,), _ = store.create_runs([{**columns, "id": new_run}])
    except BaseException:
        _discard(home, new_run)
        raise
    return queued


def keep(home: Path, run: Run, step: int, new_run: str) -> None:
    """Keep the checkpoint for the run `new_run`, which is not queued yet.

    A checkpoint is never overwritten, so a hard link serves as a copy. Raises MissingError if
    the checkpoint was deleted at this moment.
    """
    source = files.path_of(checkpoint_folder(home, run), step)
    folder = kept_checkpoint(home, new_run)
    folder.mkdir(parents=True)
    try:
        _link_or_copy(source, folder / source.name)
    except FileNotFoundError:
        _discard(home, new_run)
        raise _gone(run, step) from None


def _gone(run: Run, step: int) -> MissingError:
    return MissingError(
        f"run {run.number} no longer has its checkpoint of step {step:,}; take a newer one"
    )


def _discard(home: Path, new_run: str) -> None:
    shutil.rmtree(run_folder(home, new_run))


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
