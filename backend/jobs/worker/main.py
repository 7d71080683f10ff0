"""One attempt at a run, in a process of its own: train, report, end.

Whatever ends the run is reported and committed before the process exits; a process that ends
without a report was killed.
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
from backend.jobs.run_folders import checkpoints, kept, outbox, run_folder
from backend.jobs.worker.reporter import Reporter
from backend.jobs.worker.server_connection import Post
from backend.training.control import Control
from backend.training.loop import train
from backend.training.microscope.look import look
from backend.training.records import Ended, Event, Facts, Points, Progress, Record

_REMEDY = "take a smaller batch, a smaller network or fewer draws."
_LONGEST = 50_000
"""Characters of a traceback: what a report may carry, and more than a person reads."""

_log = logging.getLogger(__name__)


def main(job: Mapping[str, Any]) -> int:
    """Work on `job` (see `backend.jobs.executor.Job`); the exit code."""
    # What is loaded by now stays: walking it takes the collector a tenth of a second each time,
    # in the middle of a step or of a probe that is timed.
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
    relay(_records(job, control), reporter, job["device"])
    reporter.close()
    return 0


def _reporter(job: Mapping[str, Any], control: Control) -> Reporter:
    home = Path(job["home"])
    folder = run_folder(home, job["run"])
    return Reporter(
        run=job["run"],
        attempt=job["attempt"],
        post=Post(home, job["token"]),
        outbox=outbox(folder, job["attempt"]),
        hear=lambda answer: control.update(**answer),
        gone=_leave,
    )


def _leave() -> None:
    _log.info("the server wants no more of this attempt")
    # At once, from the reporter's thread: a newer attempt may own the checkpoints by now.
    os._exit(0)


def _records(job: Mapping[str, Any], control: Control) -> Iterator[Record]:
    home, run, config = Path(job["home"]), job["run"], job["config"]
    device = "cpu" if job["device"] == "cpu" else "cuda:0"  # the only one that is visible
    if "microscope" in config:
        return look(
            MicroscopeConfig.model_validate(config),
            control,
            folder=kept(home, run),
            plugin_dirs=job["plugins"],
            device=device,
        )
    return train(
        RunConfig.model_validate(config),
        control,
        checkpoint_dir=checkpoints(home, run),
        origin=kept(home, run),
        plugin_dirs=job["plugins"],
        device=device,
    )


def relay(records: Iterable[Record], reporter: Reporter, device: str) -> None:
    """Hand records over to the reporter; every flush is committed before the loop goes on."""
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
    """A traceback below a first line for people."""
    lines = [line for line in trace.splitlines() if line and not line[0].isspace()]
    last = lines[-1] if lines else "no reason was given"
    if "OutOfMemoryError" in last or "CUDA out of memory" in last:
        last = f"The device ran out of memory: {_REMEDY}"
    elif last.startswith("MemoryError") or "can't allocate memory" in last:
        last = f"The machine ran out of memory: {_REMEDY}"
    return f"{last[:1000]}\n\n{trace[-_LONGEST:]}" if trace.strip() != last else last
