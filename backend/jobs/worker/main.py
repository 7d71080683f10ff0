"""`main`: one attempt at a run in a process of its own.

The end of the run is always reported before the process exits. A process that ends without such a
report was killed.
"""

import gc
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from backend.config import MicroscopeConfig, RunConfig
from backend.jobs.run_folders import checkpoints, kept_checkpoint, outbox, run_folder
from backend.jobs.worker.reporter import Reporter
from backend.jobs.worker.reporting import forward
from backend.jobs.worker.server_connection import ServerConnection
from backend.training.control import Control
from backend.training.loop import train
from backend.training.microscope.run import run_microscope
from backend.training.records import Ended, Record

_log = logging.getLogger(__name__)


def main(job: Mapping[str, Any]) -> int:
    """Work on `job` (see `backend.jobs.executor.Job`); returns the exit code."""
    # Loaded modules are never freed, but each collection would walk them for a tenth of a second,
    # in the middle of an update or of a probe that is timed.
    gc.freeze()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    _log.info(
        "attempt %s, process %s, from step %s", job["attempt"], os.getpid(), job["resumed_at"]
    )
    torch.set_num_threads(job["threads"])
    control = Control()
    control.update(**job["control"])
    signal.signal(signal.SIGTERM, lambda *_: control.update(control.run_until, stop=True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reporter = _reporter(job, control)
    reporter.start()
    forward(_logged(_records(job, control)), reporter, job["device"])
    reporter.close()
    return 0


def _reporter(job: Mapping[str, Any], control: Control) -> Reporter:
    home = Path(job["home"])
    folder = run_folder(home, job["run"])
    return Reporter(
        run=job["run"],
        attempt=job["attempt"],
        connection=ServerConnection(home, job["token"]),
        outbox=outbox(folder, job["attempt"]),
        on_orders=lambda orders: control.update(**orders),
        on_gone=_exit_at_once,
    )


def _logged(records: Iterator[Record]) -> Iterator[Record]:
    """The same records; a failure is written to the run's log as well."""
    for record in records:
        if isinstance(record, Ended) and record.status == "failed":
            _log.error("failed: %s", record.error)
        yield record


def _exit_at_once() -> None:
    _log.info("the server takes no more reports of this attempt")
    # Without any cleanup: a newer attempt may already write the checkpoints.
    os._exit(0)


def _records(job: Mapping[str, Any], control: Control) -> Iterator[Record]:
    home, run, config = Path(job["home"]), job["run"], job["config"]
    device = "cpu" if job["device"] == "cpu" else "cuda:0"  # the only visible one
    if "microscope" in config:
        return run_microscope(
            MicroscopeConfig.model_validate(config),
            control,
            folder=kept_checkpoint(home, run),
            plugin_dirs=job["plugins"],
            device=device,
        )
    return train(
        RunConfig.model_validate(config),
        control,
        checkpoint_dir=checkpoints(home, run),
        origin=kept_checkpoint(home, run),
        plugin_dirs=job["plugins"],
        device=device,
        queued_plugins=job["queued_plugins"],
    )
