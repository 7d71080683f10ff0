"""An attempt in progress as the supervisor sees it, and the time limits that it must keep."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from backend.config import IMPORT_SECONDS
from backend.jobs.backoff import Backoff
from backend.jobs.devices import Slot
from backend.jobs.run_folders import run_folder, worker_process
from backend.jobs.worker_exit import WorkerExit


@dataclass(frozen=True)
class Limits:
    """Time limits in seconds, and the number of attempts."""

    silence: float = 30.0
    """Without a report, after which the worker is killed."""
    start: float = 120.0
    """The same before the first report: a cold machine reads torch from disk."""
    cancel: float = 2.0
    """For a worker to obey a cancellation, before it is killed. It may be in a long estimate, and
    everything it measured is on disk."""
    shutdown: float = 10.0
    """For the workers to write checkpoints and stop when the server stops."""
    attempts: int = 3
    """How often a run's worker may die before the run fails."""
    inspection: float = 60.0
    """For the catalogue, or one validation."""
    plugin: float = 10.0
    """For one plug-in alone, when one of them prevents the catalogue."""
    plugin_import: float = IMPORT_SECONDS
    """For the import of one plug-in file; those that take longer are left out of the catalogue."""
    tick: float = 0.25
    """Between two checks of the limits."""
    retry: float = 5.0
    """The longest wait between two attempts to write to the database."""


DEFAULT_LIMITS = Limits()


@dataclass
class RunningAttempt:
    """An attempt whose outcome is not in the database yet."""

    run: str
    attempt: int
    slot: Slot | None
    """None if it was found when the server started and no slot was free to count it on."""
    adopted: bool = False
    """Whether an earlier server started it, so that no exit of its process will be reported."""
    expires: float = 0.0
    """When the worker counts as silent, on the monotonic clock."""
    cancelled: float | None = field(default=None)
    """When cancellation was requested, on the monotonic clock."""
    paused: bool = False
    """Whether its last report said so."""
    exit: WorkerExit | None = None
    """How its process ended; kept until the outcome is in the database."""
    retry: Backoff = field(default_factory=lambda: Backoff(DEFAULT_LIMITS.retry))
    """When to check it again after an error."""

    def reported(self, limit: float) -> None:
        """A report came: wait for the next one for `limit` seconds."""
        self.expires = time.monotonic() + limit

    def is_silent(self) -> bool:
        """Whether the time for the next report is over."""
        return time.monotonic() >= self.expires

    def ignores_cancellation(self, limit: float) -> bool:
        """Whether `limit` seconds have passed since cancellation was requested."""
        return self.cancelled is not None and time.monotonic() >= self.cancelled + limit

    def process(self, home: Path) -> psutil.Process | None:
        """The worker's process on this machine, if it still runs."""
        worker = worker_process(run_folder(home, self.run))
        return worker.process(home) if worker and worker.attempt == self.attempt else None

    def kill(self, home: Path) -> None:
        """Kill the process and wait until it is gone: two must not share the checkpoints."""
        process = self.process(home)
        if process is not None:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            with suppress(psutil.TimeoutExpired):  # a zombie of the fork server
                process.wait(timeout=5)
