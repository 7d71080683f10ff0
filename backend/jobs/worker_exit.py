"""What happens to a run when its worker's process has ended: it ends, is queued or is set aside."""

import signal
from dataclasses import dataclass
from pathlib import Path

from backend.config import ACTIVE
from backend.jobs.executor import exit_words
from backend.jobs.report_decoding import store_unsent_reports
from backend.jobs.run_folders import log, run_folder
from backend.store import Run, Store
from backend.store.base import MissingError

OUT_OF_MEMORY = (
    "The machine ran out of memory, and its kernel killed the run. It is not tried again: take a "
    "smaller batch, a smaller network or fewer draws, or let fewer runs go side by side"
)
_LOG_CHARACTERS = 4000
"""Characters of the log in an error message."""


@dataclass(frozen=True)
class WorkerExit:
    """How an attempt ended, as far as the supervisor knows."""

    code: int | None = None
    """The exit code of the process; None if it is not known."""
    how: str | None = None
    """In words, where the supervisor knows more than the code."""
    uncounted: bool = False
    """It ended with an earlier server, so it does not count against the run."""
    memory: bool = False
    """Whether the kernel killed it for lack of memory."""
    failure: str | None = None
    """Why the run must fail whatever its status is."""


def record_exit(
    store: Store, home: Path, max_attempts: int, run_id: str, attempt: int, exit: WorkerExit
) -> None:
    """Store the worker's unsent reports and the outcome; the run fails after `max_attempts` deaths.

    Safe to repeat, and to be repeated if it raises because the database cannot be written.
    """
    folder = run_folder(home, run_id)
    try:
        store_unsent_reports(store, folder, attempt)
        run = store.run(run_id)
        if exit.failure is not None and run.status in ACTIVE:
            store.end(run_id, "failed", exit.failure)
        elif run.status in ("running", "paused"):  # else the worker itself reported the end
            _record_outcome(store, folder, max_attempts, run, exit)
    except MissingError:
        return  # the run was deleted


def _record_outcome(
    store: Store, folder: Path, max_attempts: int, run: Run, exit: WorkerExit
) -> None:
    code = exit.code
    if run.cancel:
        store.end(run.id, "cancelled")
    elif exit.uncounted or (code == 0 and run.set_aside):
        store.release(run.id)
    elif code is not None and code >= 0:
        error = f"The worker ended with {exit_words(code)}.\n\n{_end_of(log(folder))}"
        store.end(run.id, "failed", error)
    elif exit.memory:
        _note_death(store, run, f"{exit_words(-signal.SIGKILL)}, out of memory")
        store.end(run.id, "failed", OUT_OF_MEMORY)
    else:
        how = exit.how or ("lost" if code is None else exit_words(code))
        _retry_or_fail(store, max_attempts, run, how)


def _end_of(path: Path) -> str:
    """The end of a log, or why it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4 * _LOG_CHARACTERS))
            return file.read().decode(errors="replace")[-_LOG_CHARACTERS:]
    except OSError as error:
        return f"Its log cannot be read: {error}"


def _retry_or_fail(store: Store, max_attempts: int, run: Run, how: str) -> None:
    """The worker was killed: resume from the last checkpoint, or give up."""
    deaths = _note_death(store, run, how)
    if deaths >= max_attempts:
        cause = "code that does not return" if how.startswith("silent") else "out of memory"
        error = f"{how}, {deaths} attempts; {cause} is the usual cause"
        store.end(run.id, "failed", error[0].upper() + error[1:])
    else:
        store.release(run.id)


def _note_death(store: Store, run: Run, how: str) -> int:
    """Log how the present attempt ended, once; returns how many attempts have ended so."""
    text = f"attempt {run.attempt}: {how}"
    deaths = [event.text for event in store.events(run.id) if event.kind == "death"]
    if text not in deaths:  # else it was noted before the database refused what followed
        store.log(run.id, "death", text, step=run.step)
        deaths.append(text)
    return len(deaths)
