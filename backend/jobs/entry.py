"""What a forked child runs. Light: the spawner imports this, the child imports the rest."""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def work(job: Mapping[str, Any]) -> None:
    """Train one run (`backend.jobs.messages.Job` as a mapping); output goes to the run's log."""
    from backend.jobs.run_folders import run_folder
    from backend.training.checkpoints.files import is_full

    folder = run_folder(Path(job["home"]), job["run"])
    while True:
        try:
            _move_in(folder, job["attempt"])
            break
        except OSError as error:
            if not is_full(error):
                raise
            time.sleep(0.5)  # the supervisor decides how long is too long
    os.environ.update(job["environment"])  # before torch looks at the devices
    from backend.jobs.worker.main import main

    code = main(job)
    with suppress(OSError):  # a full disk may not take the last words; the points are committed
        sys.stdout.flush()
    os._exit(code)  # all is committed: what torch tears down would only keep the slot taken


def _move_in(folder: Path, attempt: int) -> None:
    """Make the files that the worker needs, while it has nothing to lose yet."""
    from backend.jobs.run_folders import log, occupy, outbox

    folder.mkdir(parents=True, exist_ok=True)
    _redirect(log(folder))
    occupy(folder, attempt)
    outbox(folder, attempt).touch()


def inspect(answers: Connection, kind: str, payload: Mapping[str, Any]) -> None:
    """Answer one question that needs torch or a plug-in, as JSON."""
    from backend.jobs.inspector import answer

    answers.send_bytes(answer(kind, payload))


def _redirect(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
