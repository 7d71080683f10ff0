"""`main`: one attempt at a run in a process of its own.

The end of the run is always reported before the process exits. A process that ends without such a
report was killed.
"""

import gc
import logging
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from backend.config import MicroscopeConfig, RunConfig
from backend.jobs.run_folders import checkpoints, kept_checkpoint, outbox, run_folder
from backend.jobs.worker.reporter import Reporter
from backend.jobs.worker.server_connection import ServerConnection
from backend.training.control import Control
from backend.training.loop import train
from backend.training.microscope.run import run_microscope
from backend.training.records import Ended, Event, Facts, Points, Progress, Record

_REMEDY = "take a smaller batch, a smaller network or fewer draws."
_TRACEBACK_CHARACTERS = 50_000
"""Characters of a traceback in a report."""

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
    forward(_records(job, control), reporter, job["device"])
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
    )


def forward(records: Iterable[Record], reporter: Reporter, device: str) -> None:
    """Pass records on to the reporter; every flush is on disk before the training goes on."""
    for record in records:
        match record:
            case Points(metric, layer, estimator, unit, steps, values):
                reporter.points((metric, layer, estimator, unit), steps, values)
            case Progress(step, steps, rate, seconds, status):
                reporter.progress(step, steps, rate, seconds)
                reporter.commit(status)
            case Event(step, kind, text):
                reporter.event(step, kind, text)
            case Facts():
                reporter.facts({**record.to_dict(), "device": device, "hardware": record.device})
                reporter.commit("running")
            case Ended("failed", _, error):
                _log.error("failed: %s", error)
                reporter.commit("failed", explained(error or ""))
            case Ended(status, _, error):
                reporter.commit(status, error)


def explained(trace: str) -> str:
    """A traceback below a first line that says what to do."""
    lines = [line for line in trace.splitlines() if line and not line[0].isspace()]
    last = lines[-1] if lines else "no reason was given"
    if "OutOfMemoryError" in last or "CUDA out of memory" in last:
        last = f"The device ran out of memory: {_REMEDY}"
    elif last.startswith("MemoryError") or "can't allocate memory" in last:
        last = f"The machine ran out of memory: {_REMEDY}"
    return f"{last[:1000]}\n\n{trace[-_TRACEBACK_CHARACTERS:]}" if trace.strip() != last else last
