"""What the supervisor knows of an attempt that is under way, and its patience with it."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from backend.jobs.backoff import Backoff
from backend.jobs.devices import Slot
from backend.jobs.run_folders import occupant, run_folder
from backend.jobs.worker_exit import Death


@dataclass(frozen=True)
class Limits:
    """Seconds, and a count, after which patience ends."""

    silence: float = 30.0
    """Without a report: the worker is taken for dead."""
    start: float = 120.0
    """The same before its first report: a cold machine reads torch from disk."""
    cancel: float = 2.0
    """For a worker to obey a cancellation, before it is killed: it may be in a long estimate,
    and all that it measured is on disk."""
    shutdown: float = 10.0
    """For the workers to checkpoint and stop when the server stops."""
    attempts: int = 3
    """Times that a run's worker may die before the run is given up."""
    inspection: float = 60.0
    """For the catalogue, or one validation."""
    plugin: float = 10.0
    """For one plug-in alone, when one of them keeps the catalogue from being made."""
    tick: float = 0.25
    """Between two looks at the clock."""
    retry: float = 5.0
    """At most, between two tries to write to a database that cannot be written."""


PATIENT = Limits()
"""The limits of a lab that is used by people."""


@dataclass
class Live:
    """An attempt under way."""

    run: str
    attempt: int
    slot: Slot | None
    """None: found at the start of the server, with no free slot to count it on."""
    adopted: bool = False
    """Whether an earlier server started it, so that nobody will tell when its process ends."""
    expires: float = 0.0
    """When the silence has become too long, on the monotonic clock."""
    cancelled: float | None = field(default=None)
    """When cancellation was asked for."""
    death: Death | None = None
    """How its process ended; it is kept until the outcome is in the database."""
    retry: Backoff = field(default_factory=lambda: Backoff(PATIENT.retry))
    """When to look after it again, where that failed."""

    def heard(self, patience: float) -> None:
        self.expires = time.monotonic() + patience

    def silent(self) -> bool:
        return time.monotonic() >= self.expires

    def disobeys(self, patience: float) -> bool:
        return self.cancelled is not None and time.monotonic() >= self.cancelled + patience

    def process(self, home: Path) -> psutil.Process | None:
        """Its process on this machine, if it is there."""
        found = occupant(run_folder(home, self.run))
        return found.process() if found and found.attempt == self.attempt else None

    def kill(self, home: Path) -> None:
        """End its process, and wait until it is gone: two must not share the checkpoints."""
        process = self.process(home)
        if process is not None:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            with suppress(psutil.TimeoutExpired):  # a zombie of the fork server
                process.wait(timeout=5)
