"""The files in `HOME/runs/<id>/`: checkpoints, log, outboxes, and which process works there."""

import errno
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

REMOVAL_ATTEMPTS = 5
OWNER = "GRADLAB_WORKER_OF"
_FORMER_KEPT_FOLDER = "specimen"


def run_folder(home: Path, run: str) -> Path:
    """The folder of a run."""
    return home / "runs" / run


def checkpoints(home: Path, run: str) -> Path:
    """The folder of the checkpoints that a run writes."""
    return run_folder(home, run) / "checkpoints"


def kept_checkpoint(home: Path, run: str) -> Path:
    """The folder of the checkpoint of another run that a run begins with or measures at.

    Runs of earlier versions have it under another name.
    """
    former = run_folder(home, run) / _FORMER_KEPT_FOLDER
    return former if former.is_dir() else run_folder(home, run) / "kept-checkpoint"


def outbox(folder: Path, attempt: int) -> Path:
    """The file of an attempt's reports that the server has not acknowledged."""
    return folder / f"outbox-{attempt}"


def log(folder: Path) -> Path:
    """The file of what the workers of all attempts have printed."""
    return folder / "log"


@dataclass(frozen=True)
class WorkerProcess:
    """The process of an attempt; its start time tells it from a later process of the same id."""

    attempt: int
    pid: int
    created: float

    def process(self, home: Path) -> psutil.Process | None:
        """The process, if it still runs and is a worker of this home.

        A copy of a home has the records of the original's workers, which are none of its own.
        """
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1
            if not same or process.status() == psutil.STATUS_ZOMBIE:
                return None
            return process if process.environ().get(OWNER) == owner(home) else None
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None


def owner(home: Path) -> str:
    """What the environment of every worker of a home has under `OWNER`: the home's instance id,
    which a copy that is served does not share; without one, its path."""
    try:
        return (home / "instance").read_text().strip()
    except FileNotFoundError:
        return str(home.resolve())


def record_worker(folder: Path, attempt: int) -> None:
    """Write down that this process works on `attempt`."""
    created = psutil.Process().create_time()
    part = folder / "worker.part"
    part.write_text(json.dumps(asdict(WorkerProcess(attempt, os.getpid(), created))))
    part.replace(folder / "worker.json")


def worker_process(folder: Path) -> WorkerProcess | None:
    """The process that worked here last; None if there is no valid record."""
    try:
        return WorkerProcess(**json.loads((folder / "worker.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def remove(folder: Path) -> None:
    """Remove a run's folder with its content. Raises OSError if that fails.

    A worker that is ending may still write and remove files of its own at the same time.
    """
    for _ in range(REMOVAL_ATTEMPTS):
        try:
            return shutil.rmtree(folder)
        except FileNotFoundError:
            if not folder.exists():
                return None
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
    return shutil.rmtree(folder)
