"""`Reporter`: writes what the training loop flushes to disk, and sends it to the server.

The loop encodes a flush about ten times a second and appends it to the outbox, so that the points
before a checkpoint are always on disk before it. A thread sends the outbox and passes on the orders
in the answers.
"""

import base64
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.jobs.backoff import Backoff
from backend.jobs.worker.outbox import Outbox
from backend.jobs.worker.server_connection import GoneError, ServerConnection, UnreachableError

_log = logging.getLogger(__name__)

DISK_FULL = "the disk is full: the run waits until there is room or the server has its points"

PART = 8 * 2**20
"""Bytes of the series of one report: a server takes 32 MB."""
NAMES = 1000
"""Bytes of a series beside its points, at most."""

Orders = Mapping[str, Any]
"""`{"run_until", "cancel", "stop", "changes"}`: the answer to a report."""


@dataclass(frozen=True)
class ReportTiming:
    """Intervals of the reports in seconds, and the size of the outbox in bytes."""

    heartbeat: float = 1.0
    """Between two reports without news."""
    paused_heartbeat: float = 0.2
    """The same while the run is paused, so that it resumes quickly."""
    longest_backoff: float = 2.0
    """The longest wait between two attempts to reach the server."""
    outbox: int = 256 * 2**20
    """Bytes on disk at which the training loop waits for the server."""


class Reporter:
    """Sends the reports of one attempt; `on_orders(orders)` is called with each answer.

    `on_gone()` is called (in the reporter's thread) when the server takes no more reports, because
    a newer attempt exists or the run was deleted. An exception in the thread is raised by each
    later `commit` and by `close`. In both cases, what is committed later is still in the outbox.
    """

    def __init__(
        self,
        run: str,
        attempt: int,
        connection: ServerConnection,
        outbox: Path,
        on_orders: Callable[[Orders], None],
        on_gone: Callable[[], None],
        timing: ReportTiming = ReportTiming(),
    ) -> None:
        self._identity = {"run": run, "attempt": attempt}
        self._connection, self._timing = connection, timing
        self._on_orders, self._on_gone = on_orders, on_gone
        self._outbox = Outbox(outbox, timing.outbox)
        self._changed = threading.Condition()
        self._series: list[dict[str, Any]] = []
        self._steps = (b"", "")
        self._events: list[dict[str, Any]] = []
        self._facts: Mapping[str, Any] | None = None
        self._progress: dict[str, Any] | None = None
        self._status = "running"
        self._sequence = itertools.count(1)
        self._closing = self._done = self._reported_full = False
        self._limited = True
        self._deadline: float | None = None
        self.lost = 0
        """Reports that a full disk had no room for when the patience of `end_within` ended."""
        self._delivered = False
        self._failure: BaseException | None = None
        self._backoff = self._last_sent = 0.0
        self._thread = threading.Thread(target=self._work, name="reporter", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def points(
        self,
        key: tuple[str, str, str, str],
        steps: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> None:
        """New points of the series `key`: (metric, layer, estimator, unit)."""
        names = dict(zip(("metric", "layer", "estimator", "unit"), key, strict=True))
        self._series.append(
            {**names, "steps": self._packed_steps(steps), "values": _packed(values, "<f8")}
        )

    def _packed_steps(self, steps: NDArray[np.int64]) -> str:
        # Most series of a flush have the same steps.
        raw = steps.tobytes()
        if raw != self._steps[0]:
            self._steps = (raw, _packed(steps, "<i8"))
        return self._steps[1]

    def event(self, step: int, kind: str, text: str) -> None:
        """A line of the run's log."""
        self._events.append({"step": step, "kind": kind, "text": text})

    def facts(self, facts: Mapping[str, Any]) -> None:
        """The circumstances of the attempt."""
        self._facts = facts

    def progress(
        self,
        step: int,
        steps: int,
        rate: float,
        seconds: float,
        overhead: float | None = None,
    ) -> None:
        """How far the run is."""
        self._progress = {
            "step": step, "steps": steps, "rate": rate, "seconds": seconds, "overhead": overhead,
        }  # fmt: skip

    def commit(self, status: str, error: str | None = None) -> None:
        """Write everything since the last call to disk, to be sent.

        Waits while the outbox is full. While the disk is full, it waits until there is space or the
        server has the report, so that nothing is lost and no checkpoint precedes its points.

        Raises the exception of the thread, if it has ended by one; all is on disk before that.
        """
        news = self._series or self._events or self._facts or status != self._status
        if not news and self._outbox:
            return  # reports are waiting, so no heartbeat is needed
        *parts, rest = _parts(self._series)
        events, facts = self._events, self._facts
        self._series, self._events, self._facts = [], [], None
        for part in parts:
            self._write(part, [], None, None, "running")
        self._write(rest, events, facts, error, status)
        self._raise_failure()

    def end_within(self, patience: float | None) -> None:
        """Let `commit` write past the limit of the outbox from now on, without waiting for the
        server, and wait for a full disk at most `patience` seconds (None: however long)."""
        with self._changed:
            self._limited = False
            self._deadline = None if patience is None else time.monotonic() + patience
            self._changed.notify_all()

    def _write(
        self,
        series: list[dict[str, Any]],
        events: list[dict[str, Any]],
        facts: Mapping[str, Any] | None,
        error: str | None,
        status: str,
    ) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._done or not self._limited or not self._outbox.full)
            if self._outbox.unsaved is not None:  # an interrupt has ended the wait for the disk
                self._wait_for_disk()
            if self._outbox.unsaved is not None:
                self.lost += 1
                return
            self._outbox.append(self._report(series, events, facts, error, status))
            self._status = status  # not before: a heartbeat would announce what has yet to come
            self._changed.notify_all()
            self._wait_for_disk()
            self.lost += self._outbox.unsaved is not None

    def _wait_for_disk(self) -> None:
        """Wait while the disk is full, at most until the deadline; report that once."""
        if self._outbox.unsaved is not None and not self._reported_full:
            self._reported_full = True
            step = self._progress and self._progress["step"]
            self._events.append({"step": step, "kind": "disk", "text": DISK_FULL})
            _log.warning(DISK_FULL)
        backoff = Backoff(self._timing.longest_backoff)
        while not self._done and not self._outbox.retry():
            wait = backoff.failed()
            if self._deadline is not None:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    return
                wait = min(wait, left)
            self._changed.wait_for(lambda: self._done or not self._outbox.unsaved, wait)

    def close(self, patience: float | None = None) -> bool:
        """Wait until the server has every report; returns whether it has.

        `patience` are seconds after which the rest is left in the outbox; None: however long.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(patience)
        if not self._thread.is_alive():
            self._outbox.close()
        self._raise_failure()
        return not self._thread.is_alive() and self._delivered

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _report(
        self,
        series: list[dict[str, Any]],
        events: list[dict[str, Any]],
        facts: Mapping[str, Any] | None,
        error: str | None,
        status: str,
    ) -> bytes:
        """A report with the next number; under the lock, so that the numbers are in order."""
        report = {
            **self._identity,
            "sequence": next(self._sequence),
            "series": series,
            "progress": self._progress,
            "status": status,
            "error": error,
            "events": events,
            "facts": facts,
        }
        return json.dumps(report).encode()

    def _work(self) -> None:
        try:
            while self._wait_for_news():
                self._deliver()
            self._delivered = True
        except GoneError:
            self._on_gone()
        except BaseException as failure:  # raised in the loop's thread, by its next call
            self._failure = failure
        finally:
            self._connection.close()
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _wait_for_news(self) -> bool:
        """Wait for something to send, at most until the next heartbeat; False when all is done."""
        with self._changed:
            if self._backoff:
                self._changed.wait(self._backoff)
            else:
                self._changed.wait_for(
                    lambda: self._outbox or self._closing, self._until_heartbeat()
                )
            return bool(self._outbox) or not self._closing

    def _deliver(self) -> None:
        try:
            while self._outbox:
                self._send(self._outbox.head())
                with self._changed:
                    self._outbox.drop()
                    self._changed.notify_all()
            heartbeat = self._heartbeat()
            if heartbeat is not None:
                self._send(heartbeat)
        except UnreachableError:
            self._backoff = min(max(2 * self._backoff, 0.05), self._timing.longest_backoff)

    def _heartbeat(self) -> bytes | None:
        """A report without news if one is due; reports in the outbox go first."""
        with self._changed:
            if self._outbox or self._until_heartbeat() > 0:
                return None
            return self._report([], [], None, None, self._status)

    def _until_heartbeat(self) -> float:
        """Seconds until the next heartbeat is due."""
        timing = self._timing
        limit = timing.paused_heartbeat if self._status == "paused" else timing.heartbeat
        return limit - (time.monotonic() - self._last_sent)

    def _send(self, report: bytes) -> None:
        self._on_orders(self._connection.send(report))
        self._last_sent, self._backoff = time.monotonic(), 0.0


def _parts(series: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The series of a flush, in parts that a server takes in one report; at least one part."""
    parts: list[list[dict[str, Any]]] = [[]]
    room = PART
    for each in series:
        size = NAMES + len(each["steps"]) + len(each["values"])
        if size > room and parts[-1]:
            parts.append([])
            room = PART
        parts[-1].append(each)
        room -= size
    return parts


def _packed(array: NDArray[Any], kind: str) -> str:
    return base64.b64encode(array.astype(kind, copy=False).tobytes()).decode()
