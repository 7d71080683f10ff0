"""A worker's voice: what the training loop flushes goes to disk at once, then to the server.

The loop encodes a flush about ten times a second and appends it to the outbox, so that no
checkpoint ever runs ahead of the points before it; a thread sends the outbox and applies
the answers.
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
from backend.jobs.worker.server_connection import GoneError, Post, UnreachableError

_log = logging.getLogger(__name__)

DISK_FULL = "the disk is full: the run waits until there is room or the server has its points"

Answer = Mapping[str, Any]
"""`{"run_until", "cancel", "stop", "changes"}`."""


@dataclass(frozen=True)
class Pace:
    """Seconds and bytes that govern the reports."""

    heartbeat: float = 1.0
    """Between two reports while there is nothing to say."""
    paused_heartbeat: float = 0.2
    """The same while the run is paused, so that resuming feels immediate."""
    longest_backoff: float = 2.0
    """Between two attempts to reach a server that is away."""
    outbox: int = 256 * 2**20
    """Bytes on disk beyond which the loop waits for the server."""


class Reporter:
    """Sends the reports of one attempt; `hear(answer)` is called with each answer.

    `gone()` is called (in the reporter's thread) when the server wants no more reports: a
    newer attempt exists, or the run was deleted. What goes wrong in the thread is raised by
    the loop's next `commit` or `close`.
    """

    def __init__(
        self,
        run: str,
        attempt: int,
        post: Post,
        outbox: Path,
        hear: Callable[[Answer], None],
        gone: Callable[[], None],
        pace: Pace = Pace(),
    ) -> None:
        self._identity = {"run": run, "attempt": attempt}
        self._post, self._hear, self._gone, self._pace = post, hear, gone, pace
        self._outbox = Outbox(outbox, pace.outbox)
        self._changed = threading.Condition()
        self._series: list[dict[str, Any]] = []
        self._steps = (b"", "")
        self._events: list[dict[str, Any]] = []
        self._facts: Mapping[str, Any] | None = None
        self._progress: dict[str, Any] | None = None
        self._status = "running"
        self._sequence = itertools.count(1)
        self._closing = self._done = self._said_full = False
        self._failure: BaseException | None = None
        self._backoff = self._last_sent = 0.0
        self._thread = threading.Thread(target=self._work, name="reporter", daemon=True)

    def start(self) -> None:
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
        self._events.append({"step": step, "kind": kind, "text": text})

    def facts(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts

    def progress(self, step: int, steps: int, rate: float, seconds: float) -> None:
        self._progress = {"step": step, "steps": steps, "rate": rate, "seconds": seconds}

    def commit(self, status: str, error: str | None = None) -> None:
        """Put all that was handed over on disk, to be sent.

        Waits while the outbox is full; while the disk is, until there is room or the server
        has the report, so that nothing measured is lost and no checkpoint runs ahead.
        """
        news = self._series or self._events or self._facts or status != self._status
        self._status = status
        if not news and self._outbox:
            return  # a sign of life behind a queue would only lengthen it
        report = self._report(self._series, self._events, self._facts, error)
        self._series, self._events, self._facts = [], [], None
        with self._changed:
            self._changed.wait_for(lambda: self._done or not self._outbox.full)
            self._raise()
            if not self._done:
                self._outbox.append(report)
                self._changed.notify_all()
                self._outlast()
            self._raise()

    def _outlast(self) -> None:
        """Wait while the disk is full, and say so once."""
        if self._outbox.held is not None and not self._said_full:
            self._said_full = True
            step = self._progress and self._progress["step"]
            self._events.append({"step": step, "kind": "disk", "text": DISK_FULL})
            _log.warning(DISK_FULL)
        backoff = Backoff(self._pace.longest_backoff)
        while not self._done and not self._outbox.settle():
            self._changed.wait_for(lambda: self._done or not self._outbox.held, backoff.failed())

    def close(self) -> None:
        """Return when the server has all of it, however long it stays away."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _report(
        self,
        series: list[dict[str, Any]],
        events: list[dict[str, Any]],
        facts: Mapping[str, Any] | None,
        error: str | None,
    ) -> bytes:
        report = {
            **self._identity,
            "sequence": next(self._sequence),
            "series": series,
            "progress": self._progress,
            "status": self._status,
            "error": error,
            "events": events,
            "facts": facts,
        }
        return json.dumps(report).encode()

    def _work(self) -> None:
        try:
            while self._next():
                self._deliver()
        except GoneError:
            self._gone()
        except BaseException as failure:  # raised in the loop's thread, by its next call
            self._failure = failure
        finally:
            self._outbox.close()
            self._post.close()
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _next(self) -> bool:
        """Wait for something to send, at most until the next sign of life is due."""
        with self._changed:
            if self._backoff:
                self._changed.wait(self._backoff)
            else:
                self._changed.wait_for(lambda: self._outbox or self._closing, self._silence())
            return bool(self._outbox) or not self._closing

    def _deliver(self) -> None:
        try:
            while self._outbox:
                self._send(self._outbox.head())
                with self._changed:
                    self._outbox.drop()
                    self._changed.notify_all()
            if self._silence() <= 0:
                self._send(self._report([], [], None, None))
        except UnreachableError:
            self._backoff = min(max(2 * self._backoff, 0.05), self._pace.longest_backoff)

    def _silence(self) -> float:
        """Seconds until the next sign of life is due."""
        pace = self._pace
        limit = pace.paused_heartbeat if self._status == "paused" else pace.heartbeat
        return limit - (time.monotonic() - self._last_sent)

    def _send(self, report: bytes) -> None:
        self._hear(self._post(report))
        self._last_sent, self._backoff = time.monotonic(), 0.0


def _packed(array: NDArray[Any], kind: str) -> str:
    return base64.b64encode(array.astype(kind, copy=False).tobytes()).decode()
