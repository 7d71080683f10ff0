"""The interface between the supervisor and what starts processes: `Job`, `Exit`, `Executor`.

The spawner and its children import it, so it imports nothing heavy.
"""

import signal
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Job:
    """Everything that a worker needs for one attempt at a run: plain data that becomes JSON."""

    run: str
    attempt: int
    config: Mapping[str, Any]
    token: str
    """Valid for the reports of this run alone."""
    home: str
    """The lab's home; its file `lock` has the server's URL."""
    plugins: tuple[str, ...]
    """Plug-in folders."""
    queued_plugins: Mapping[str, str]
    """SHA-256 of the file of each plug-in in use when the run was queued."""
    device: str
    """The device to report: cpu or cuda:N, numbered as on the machine."""
    environment: Mapping[str, str]
    """Variables to set before torch looks for devices: CUDA_VISIBLE_DEVICES."""
    threads: int
    resumed_at: int
    """The step of the checkpoint to resume from; 0 to start from the beginning."""
    control: Mapping[str, Any]
    """The orders at the start: `run_until`, `cancel`, `changes`."""

    def json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Exit:
    """The end of a worker's process. `code` is negative for a signal."""

    run: str
    attempt: int
    code: int


class InspectionError(TimeoutError):
    """An inspector failed or did not answer in time; the message or traceback says why."""


class Executor(Protocol):
    """Starts workers and inspectors, and reports when a worker has ended."""

    def open(self, ended: Callable[[Exit], None]) -> None:
        """Get ready. `ended` is called once for each worker that ends, from any thread."""

    def start(self, job: Job) -> None:
        """Start a worker, without waiting for it."""

    def kill(self, run: str, attempt: int) -> None:
        """Kill a worker's process, if there is one."""

    def inspect(self, kind: str, payload: Mapping[str, Any], timeout: float) -> Any:
        """An inspector's answer. Raises InspectionError if there is none in `timeout` seconds."""

    def close(self) -> None:
        """Start nothing more. Running workers are left to finish."""


def exit_words(code: int) -> str:
    """An exit code in words: "killed by SIGKILL (9)", "exit code 3"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name} ({-code})"
    except ValueError:
        return f"killed by signal {-code}"
