"""What becomes of a run whose worker is gone: ended, or queued again, as its reports say."""

from dataclasses import dataclass
from pathlib import Path

from backend.config import ACTIVE
from backend.jobs.executor import ending
from backend.jobs.report_decoding import take_in
from backend.jobs.run_folders import log, run_folder
from backend.store import Run, Store
from backend.store.base import MissingError

_SHOWN = 4000
"""Characters of the log in a failure's words."""


@dataclass(frozen=True)
class Death:
    """How an attempt ended, as far as the supervisor knows."""

    code: int | None = None
    """The process's exit code; None: nobody heard it."""
    how: str | None = None
    """In words, where the supervisor knows better than the code."""
    blameless: bool = False
    """It went with an earlier server: not the run's fault, and not counted."""
    hopeless: str | None = None
    """Why the run must end as failed, however it stands."""


def settle(
    store: Store, home: Path, attempts: int, run_id: str, attempt: int, death: Death
) -> None:
    """Take in what the worker left and write down the outcome; a run is given up after
    `attempts` deaths.

    Safe to repeat, and to be repeated where it raises: the database cannot be written.
    """
    folder = run_folder(home, run_id)
    try:
        take_in(store, folder, attempt)
        run = store.run(run_id)
        if death.hopeless is not None and run.status in ACTIVE:
            store.end(run_id, "failed", death.hopeless)
        elif run.status in ("running", "paused"):  # else it had said so itself
            _conclude(store, folder, attempts, run, death)
    except MissingError:
        return  # deleted meanwhile


def _conclude(store: Store, folder: Path, attempts: int, run: Run, death: Death) -> None:
    code = death.code
    if run.cancel:
        store.end(run.id, "cancelled")
    elif death.blameless:
        store.update(run.id, status="queued")
    elif code is not None and code >= 0:
        said = f"The worker ended with {ending(code)}.\n\n{_last(log(folder))}"
        store.end(run.id, "failed", said)
    else:
        _mourn(store, attempts, run, death.how or ("lost" if code is None else ending(code)))


def _last(path: Path) -> str:
    """The end of a log, or why there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4 * _SHOWN))
            return file.read().decode(errors="replace")[-_SHOWN:]
    except OSError as error:
        return f"Its log cannot be read: {error}"


def _mourn(store: Store, attempts: int, run: Run, how: str) -> None:
    """The worker was killed: try again from the last checkpoint, or give up."""
    text = f"attempt {run.attempt}: {how}"
    deaths = [event.text for event in store.events(run.id) if event.kind == "death"]
    if text not in deaths:  # else noted before what follows failed
        store.log(run.id, "death", text, step=run.step)
        deaths.append(text)
    if len(deaths) >= attempts:
        error = f"{how}, {len(deaths)} attempts; out of memory is the usual cause"
        store.end(run.id, "failed", error[0].upper() + error[1:])
    else:
        store.update(run.id, status="queued")
