"""The process that forks workers and inspectors: `python -m backend.jobs.spawner`.

It owns a fork server in which torch is preloaded, and exchanges JSON lines over its standard
input and output. It imports nothing heavy, because a forked child imports `__main__` again.

Commands: `{"do": "start", "job": {...}}`, `{"do": "inspect", "id", "kind", "payload",
"timeout"}`, `{"do": "kill", "run", "attempt"}`. Events: `started` (run, attempt, pid),
`exit` (run, attempt, code: negative for a signal), `inspected` (id, result or error).
When its input ends because the server is gone, it starts nothing new and ends with its last worker.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any, BinaryIO

from backend.jobs import child_process
from backend.jobs.executor import exit_words

PRELOADED_MODULES = [
    "torch._dynamo",  # which the first optimiser imports
    "torch.func",
    "sklearn.datasets",
    f"{__package__}.inspector",
    f"{__package__}.worker.main",
]
"""Modules that are imported before the fork. No parallel torch operation may run before it, since
the children would inherit an OpenMP pool without its threads."""

_FORKSERVER_LOST = 255
"""The exit code that multiprocessing reports when the fork server itself has died."""


@dataclass
class _Inspection:
    """An inspector that has not answered yet."""

    process: ForkServerProcess
    answers: Connection
    deadline: float
    timeout: float


class Spawner:
    """Forks processes on `commands` and reports their ends as `events`."""

    def __init__(self, commands: int, events: BinaryIO) -> None:
        self._commands, self._events = commands, events
        self._listening = True
        self._unread = b""
        self._workers: dict[tuple[str, int], ForkServerProcess] = {}
        self._inspections: dict[str, _Inspection] = {}
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED_MODULES)

    def serve(self) -> None:
        """Work until the input ends and the last process has ended."""
        forkserver.ensure_running()
        while self._listening or self._workers or self._inspections:
            ready = set(wait(self._watched(), self._timeout()))
            if self._commands in ready:
                self._read()
            self._reap_workers(ready)
            self._reap_inspections(ready)

    def _watched(self) -> list[Any]:
        commands = [self._commands] if self._listening else []
        workers = [p.sentinel for p in self._workers.values()]
        return [*commands, *workers, *(i.answers for i in self._inspections.values())]

    def _timeout(self) -> float | None:
        deadlines = [i.deadline for i in self._inspections.values()]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _read(self) -> None:
        chunk = os.read(self._commands, 1 << 16)
        self._listening = bool(chunk)
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            self._execute(json.loads(line))

    def _execute(self, command: dict[str, Any]) -> None:
        match command.pop("do"):
            case "start":
                self._start(command["job"])
            case "inspect":
                self._inspect(**command)
            case "kill":
                self._kill(**command)

    def _start(self, job: dict[str, Any]) -> None:
        process = self._context.Process(target=child_process.run_worker, args=(job,))
        process.start()
        self._workers[job["run"], job["attempt"]] = process
        self._emit("started", run=job["run"], attempt=job["attempt"], pid=process.pid)

    def _kill(self, run: str, attempt: int) -> None:
        process = self._workers.get((run, attempt))
        if process is not None:
            process.kill()

    def _inspect(self, id: str, kind: str, payload: dict[str, Any], timeout: float) -> None:
        answers, child_end = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=child_process.run_inspection, args=(child_end, kind, payload)
        )
        process.start()
        child_end.close()
        deadline = time.monotonic() + timeout
        self._inspections[id] = _Inspection(process, answers, deadline, timeout)

    def _reap_workers(self, ready: set[Any]) -> None:
        for (run, attempt), process in list(self._workers.items()):
            if process.sentinel in ready:
                process.join()
                del self._workers[run, attempt]
                self._emit("exit", run=run, attempt=attempt, code=_exit_code(process))
                process.close()

    def _reap_inspections(self, ready: set[Any]) -> None:
        for id, inspection in list(self._inspections.items()):
            if inspection.answers in ready:
                reply = _reply(inspection)
            elif time.monotonic() >= inspection.deadline:
                reply = {"error": f"no answer within {inspection.timeout:g} s; it was killed"}
            else:
                continue
            del self._inspections[id]
            self._emit("inspected", id=id, **reply)
            _discard(inspection)

    def _emit(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, **fields}).encode() + b"\n"
        with suppress(BrokenPipeError):  # the server is gone; the workers go on
            self._events.write(line)


def _exit_code(process: ForkServerProcess) -> int:
    code = process.exitcode
    if code == _FORKSERVER_LOST and process.pid:  # the child may still run, unobserved
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        return -signal.SIGKILL
    return 0 if code is None else code


def _reply(inspection: _Inspection) -> dict[str, Any]:
    try:
        return json.loads(inspection.answers.recv_bytes())
    except EOFError:
        inspection.process.join()
        how = exit_words(_exit_code(inspection.process))
        return {"error": f"the process ended without an answer, {how}"}


def _discard(inspection: _Inspection) -> None:
    inspection.process.kill()
    inspection.process.join()
    inspection.process.close()
    inspection.answers.close()


def _hidden_from_children(descriptor: int, replacement: int) -> int:
    """Move a standard stream to a descriptor that the children do not inherit."""
    moved = os.dup(descriptor)  # duplicated descriptors are not inherited
    os.dup2(replacement, descriptor)
    return moved


def main() -> None:
    """Serve the parent process over standard input and output."""
    null = os.open(os.devnull, os.O_RDONLY)
    events = os.fdopen(_hidden_from_children(1, 2), "wb", buffering=0)
    Spawner(commands=_hidden_from_children(0, null), events=events).serve()


if __name__ == "__main__":
    sys.exit(main())
