"""`LocalExecutor`: workers as processes of this machine, forked by one spawner process."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from backend.jobs.executor import Exit, InspectionError, Job
from backend.jobs.run_folders import OWNER, owner

_SPAWNER_SECONDS = 30.0
"""Time for the spawner to start and to answer, beyond an inspection's own limit."""

_EXIT_SECONDS = 2.0
"""Time for an idle spawner to end."""

_SPAWNER = f"{__package__}.spawner"
_IMPORT_ROOT = Path(__file__).parents[__name__.count(".")]
"""The folder from which this package is imported."""


class LocalExecutor:
    """The executor of one machine (see `backend.jobs.executor.Executor`).

    If the spawner dies, its workers are killed and reported as killed, open inspections fail,
    and a new spawner is started.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        """Workers get `environment` beside the server's own; the home is added to it."""
        self._home = home
        self._environment = {"GRADLAB_HOME": str(home), **(environment or {})}
        self._lock = threading.RLock()
        self._closed = False
        self._workers: dict[tuple[str, int], int | None] = {}
        self._inspections: dict[str, Future[Any]] = {}

    def open(self, ended: Callable[[Exit], None]) -> None:
        """Start the spawner; `ended` is called for each worker that ends."""
        self._ended = ended
        with self._lock:
            self._launch()

    @property
    def pid(self) -> int:
        """The process id of the spawner."""
        return self._process.pid

    def start(self, job: Job) -> None:
        """Start a worker, without waiting for it."""
        with self._lock:
            self._workers[job.run, job.attempt] = None
            self._send(do="start", job=job.json())

    def kill(self, run: str, attempt: int) -> None:
        """Kill a worker's process, if there is one."""
        self._send(do="kill", run=run, attempt=attempt)

    def inspect(self, kind: str, payload: Mapping[str, Any], timeout: float) -> Any:
        """An inspector's answer. Raises InspectionError if there is none in time."""
        id, answer = uuid.uuid4().hex, Future()
        with self._lock:
            self._inspections[id] = answer
            self._send(do="inspect", id=id, kind=kind, payload=payload, timeout=timeout)
        wait([answer], timeout + _SPAWNER_SECONDS)
        self._settle(
            id, {"error": f"the spawner gave no answer in {timeout + _SPAWNER_SECONDS:g} s"}
        )
        del self._inspections[id]
        return answer.result()

    def close(self) -> None:
        """Let the spawner end; running workers are left to finish."""
        with self._lock:
            self._closed = True
            with suppress(BrokenPipeError):
                self._commands.close()
        self._reader.join(_EXIT_SECONDS)  # it lives longer only while workers run

    def _launch(self) -> None:
        with (self._home / "spawner.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _SPAWNER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={
                    **os.environ,
                    **self._environment,
                    "PYTHONPATH": python_path(),
                    OWNER: owner(self._home),
                },
                start_new_session=True,  # Ctrl-C in the terminal reaches the server alone
            )
        self._commands = cast("IO[bytes]", self._process.stdin)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _send(self, **command: Any) -> None:
        line = json.dumps(command).encode() + b"\n"
        with self._lock, suppress(BrokenPipeError):  # the reader notices its death
            self._commands.write(line)
            self._commands.flush()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        with cast("IO[bytes]", process.stdout) as events:
            for line in events:
                self._handle(json.loads(line))
        process.wait()
        if not self._closed:
            self._replace()

    def _handle(self, event: dict[str, Any]) -> None:
        match event:
            case {"event": "started", "run": run, "attempt": attempt, "pid": pid}:
                self._workers[run, attempt] = pid
            case {"event": "exit", "run": run, "attempt": attempt, "code": code}:
                self._workers.pop((run, attempt), None)
                self._ended(Exit(run, attempt, code))
            case {"event": "inspected", "id": id, **reply}:
                self._settle(id, reply)

    def _settle(self, id: str, reply: Mapping[str, Any]) -> None:
        answer = self._inspections.get(id)
        if answer is None or answer.done():
            return
        if "error" in reply:
            answer.set_exception(InspectionError(reply["error"]))
        else:
            answer.set_result(reply["result"])

    def _replace(self) -> None:
        """Replace a spawner that died: kill its workers and fail its open inspections."""
        with self._lock:
            lost, self._workers = self._workers, {}
            open_inspections = list(self._inspections)
            with suppress(BrokenPipeError):
                self._commands.close()
            self._launch()
        for id in open_inspections:
            self._settle(id, {"error": "the spawner died before it answered"})
        for (run, attempt), pid in lost.items():
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._ended(Exit(run, attempt, -signal.SIGKILL))


def python_path() -> str:
    """Where the spawner finds this package: `-P` keeps the current folder from shadowing it."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(_IMPORT_ROOT), *([given] if given else [])])
