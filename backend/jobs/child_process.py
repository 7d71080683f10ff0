"""The functions that forked child processes run.

The spawner imports this module, so it imports nothing heavy; the child imports the rest.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def run_worker(job: Mapping[str, Any]) -> None:
    """Work on one run (`backend.jobs.executor.Job` as a mapping); output goes to the run's log."""
    from backend.jobs.run_folders import run_folder
    from backend.machine_memory import make_first_victim
    from backend.training.checkpoints.files import is_full

    make_first_victim()
    folder = run_folder(Path(job["home"]), job["run"])
    while True:
        try:
            _prepare_folder(folder, job["attempt"])
            break
        except OSError as error:
            if not is_full(error):
                raise
            time.sleep(0.5)  # the supervisor decides when to give up
    os.environ.update(job["environment"])  # before torch looks for devices
    from backend.jobs.worker.main import main

    code = main(job)
    with suppress(OSError):  # a full disk may not take the last output; the points are stored
        sys.stdout.flush()
    os._exit(code)  # everything is stored: torch's own shutdown would only occupy the slot


def run_inspection(answers: Connection, kind: str, payload: Mapping[str, Any]) -> None:
    """Answer one question that needs torch or a plug-in, as JSON."""
    from backend.jobs.inspector import answer
    from backend.machine_memory import make_first_victim

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this one
    make_first_victim()
    answers.send_bytes(answer(kind, payload))


def _prepare_folder(folder: Path, attempt: int) -> None:
    """Create the worker's files before it has anything to lose."""
    from backend.jobs.run_folders import log, outbox, record_worker

    folder.mkdir(parents=True, exist_ok=True)
    _redirect_output(log(folder))
    record_worker(folder, attempt)
    outbox(folder, attempt).touch()


def _redirect_output(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
