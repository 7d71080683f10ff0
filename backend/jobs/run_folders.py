"""What lies in `HOME/runs/<id>/`: checkpoints, the log, outboxes, and who works there."""

import errno
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

TRIES = 5


def run_folder(home: Path, run: str) -> Path:
    return home / "runs" / run


def checkpoints(home: Path, run: str) -> Path:
    return run_folder(home, run) / "checkpoints"


def kept(home: Path, run: str) -> Path:
    """Where a run keeps the checkpoint of another that it looks at, or begins with."""
    return run_folder(home, run) / "specimen"


def outbox(folder: Path, attempt: int) -> Path:
    """The reports of an attempt that the server has not acknowledged."""
    return folder / f"outbox-{attempt}"


def log(folder: Path) -> Path:
    """What the worker and the plug-ins in it have printed, of all attempts."""
    return folder / "log"


@dataclass(frozen=True)
class Occupant:
    """The process of an attempt. Its start time tells it from a later one of the same number."""

    attempt: int
    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """The process, if it is still there."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def occupy(folder: Path, attempt: int) -> None:
    """Write down that this process works on `attempt`."""
    created = psutil.Process().create_time()
    part = folder / "worker.part"
    part.write_text(json.dumps(asdict(Occupant(attempt, os.getpid(), created))))
    part.replace(folder / "worker.json")


def occupant(folder: Path) -> Occupant | None:
    """Who worked here last; None if nobody did or the file does not say."""
    try:
        return Occupant(**json.loads((folder / "worker.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def remove(folder: Path) -> None:
    """Remove a run's folder and all in it. Raises OSError if it resists.

    A worker on its way out removes, and may still write, files of its own meanwhile.
    """
    for _ in range(TRIES):
        try:
            return shutil.rmtree(folder)
        except FileNotFoundError:
            if not folder.exists():
                return None
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
    return shutil.rmtree(folder)
