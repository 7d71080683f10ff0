"""The checkpoints that a run offers to others, and the one that such a run keeps for itself."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.jobs.checkpoint_config import standing
from backend.jobs.run_folders import checkpoints, kept, run_folder
from backend.store import Run, Store
from backend.store.base import ConflictError, MissingError
from backend.store.tables import new_id
from backend.training.checkpoints.files import checkpoint_steps, damage, path_of

SHOWN = 8


def offered(home: Path, run: Run) -> Path:
    """Where the checkpoints lie that can be looked at: its own, or the one that it looks at."""
    return kept(home, run.id) if run.kind == "microscope" else checkpoints(home, run.id)


def steps(home: Path, run: Run) -> list[int]:
    """The steps whose checkpoints are there, ascending."""
    return checkpoint_steps(offered(home, run))


def choose(home: Path, run: Run, step: int | None) -> int:
    """The step asked for, or the newest.

    Raises ConflictError, MissingError with what there is; ConflictError for a damaged one too.
    """
    there = steps(home, run)
    if not there:
        raise ConflictError(
            f"run {run.number} has no checkpoint; it writes the first as soon as it starts"
        )
    step = there[-1] if step is None else step
    if step not in there:
        some = [f"{s:,}" for s in there]
        told = ", ".join([*some[: SHOWN - 1], "…", some[-1]] if len(some) > SHOWN else some)
        raise MissingError(f"run {run.number} has no checkpoint of step {step:,}; it has {told}")
    if wrong := _wrong(path_of(offered(home, run), step)):
        raise ConflictError(f"run {run.number}: {wrong}; take another one")
    return step


def _wrong(path: Path) -> str:
    """See `damage`. A checkpoint that goes in this moment is missed later, by `keep`."""
    try:
        return damage(path)
    except FileNotFoundError:
        return ""


def keep(home: Path, run: Run, step: int, for_run: str) -> None:
    """Let the run-to-be `for_run` hold the checkpoint, whatever becomes of `run`.

    A checkpoint is never written twice, so that a second name of the file is as good as a copy.
    Raises MissingError if it went in this moment.
    """
    source, folder = path_of(offered(home, run), step), kept(home, for_run)
    folder.mkdir(parents=True)
    try:
        _link(source, folder / source.name)
    except FileNotFoundError:
        forget(home, for_run)
        raise MissingError(
            f"run {run.number} no longer has its checkpoint of step {step:,}; take a newer one"
        ) from None


def standing_at(home: Path, run: Run, step: int) -> dict[str, Any]:
    """See `standing`. Raises ConflictError where the checkpoint cannot be read."""
    try:
        return standing(path_of(offered(home, run), step))
    except ValueError as error:
        raise ConflictError(f"run {run.number}: {error}") from error


def queued(store: Store, home: Path, run: Run, step: int, given: Mapping[str, Any]) -> Run:
    """Keep the checkpoint, then queue a run: whatever becomes of `run` meanwhile."""
    id = new_id("r")
    keep(home, run, step, id)
    try:
        (made,), _ = store.create_runs([{**given, "id": id}])
    except BaseException:
        forget(home, id)
        raise
    return made


def forget(home: Path, run: str) -> None:
    """The run-to-be was not to be."""
    shutil.rmtree(run_folder(home, run))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
