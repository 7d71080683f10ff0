"""`Hub`: the event stream. Each event is encoded once and kept in one bounded ring for all clients.

A client has no queue of its own but a position in the ring. If a client is too slow and its
position is overwritten, it gets the event `reset`, and the page fetches again what it shows. The
id of every event says where to go on, so that a client that lost its connection misses no event of
any kind: it gets all events after the last that it received, or `reset`.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from backend import strict_json
from backend.api.models import run_view
from backend.store import Store
from backend.store.base import Commit, MissingError

RING_EVENTS = 4096
RING_BYTES = 16_000_000
MAX_EVENT_BYTES = 1_000_000
"""From this size on, fetching again is cheaper than the event."""
HEARTBEAT = 3.0
"""Seconds without an event after which `alive` is sent: a page that hears nothing for longer knows
that it is not live (`SILENT_MS` in frontend/stream/source.js)."""
RUN_INTERVAL = 0.25  # seconds between two `run` events of one run
WRITE_BYTES = 262_144  # written at a time
MAX_CLIENTS = 256


def encode(kind: str, data: Any) -> bytes:
    """One server-sent event, without its id."""
    return f"event: {kind}\ndata: {strict_json.dumps(data)}\n\n".encode()


RESET = encode("reset", {})
ALIVE = encode("alive", {})


class Hub:
    """Sends what the store commits to all clients."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._name = secrets.token_hex(4)  # an id of another server's ring is not one of this
        self._ring: deque[bytes] = deque()
        self._first = 0  # the position of the ring's oldest entry
        self._bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._closed = False
        self._due: set[str] = set()
        self._deleted: set[str] = set()
        self._last_sent: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._send_lock = asyncio.Lock()
        self.clients = 0
        store.listen(self._committed)

    def open(self) -> None:
        """Start, on the running event loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End every client's stream, and send nothing any more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        self._wake_clients()

    def publish(self, kind: str, data: Any) -> None:
        """Send an event to all clients, from any thread."""
        event = encode(kind, data)
        self._call(self._append, RESET if len(event) > MAX_EVENT_BYTES else event)

    def _call(self, function: Any, *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _committed(self, commit: Commit) -> None:
        if commit.kind == "points":
            series = [_as_json(s) for s in commit.series]
            self.publish("points", {"run": commit.run, "series": series})
        elif commit.kind == "truncate":
            self.publish("truncate", {"run": commit.run, "step": commit.step})
        elif commit.kind == "deleted":
            self._call(self._deleted.add, commit.run)
            self.publish("deleted", {"run": commit.run})
        else:
            self._call(self._schedule, commit.run)

    def _schedule(self, run_id: str) -> None:
        """Send a run's state now, or when RUN_INTERVAL has passed since the last time."""
        if run_id in self._due or self._loop is None:
            return
        self._due.add(run_id)
        wait = self._last_sent.get(run_id, 0.0) + RUN_INTERVAL - self._loop.time()
        self._loop.call_later(max(wait, 0.0), self._start_sending, run_id)

    def _start_sending(self, run_id: str) -> None:
        if self._closed:
            return
        task = asyncio.ensure_future(self._send_run(run_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_run(self, run_id: str) -> None:
        # One at a time, so that an older state of a run is not sent after a newer one.
        async with self._send_lock:
            self._due.discard(run_id)
            # Before the run is read, so that a change during a slow read is sent later.
            self._last_sent[run_id] = asyncio.get_running_loop().time()
            try:
                event = await asyncio.to_thread(self._encode_run, run_id)
            except MissingError:
                self._last_sent.pop(run_id, None)
                return
            # A state that was read before the run was deleted would bring it back.
            if run_id not in self._deleted:
                self._append(event)

    def _encode_run(self, run_id: str) -> bytes:
        return encode("run", run_view(self._store, self._store.run(run_id)).model_dump())

    def _append(self, event: bytes) -> None:
        self._ring.append(self._id(self._end + 1) + event)
        self._bytes += len(self._ring[-1])
        while len(self._ring) > RING_EVENTS or self._bytes > RING_BYTES:
            self._bytes -= len(self._ring.popleft())
            self._first += 1
        self._wake_clients()

    @property
    def _end(self) -> int:
        """The position of the next event."""
        return self._first + len(self._ring)

    def _id(self, place: int) -> bytes:
        """The id after which a client goes on at position `place`."""
        return f"id: {self._name}-{place}\n".encode()

    def _wake_clients(self) -> None:
        self._wake.set()
        self._wake = asyncio.Event()

    async def events(self, last_id: str | None) -> AsyncIterator[bytes]:
        """The stream of one client, beginning after the event `last_id`."""
        self.clients += 1
        try:
            async for data in self._follow(self._place_after(last_id)):
                yield data
        finally:
            self.clients -= 1

    async def _follow(self, place: int | None) -> AsyncIterator[bytes]:
        # An id without an event: where to go on if the connection is lost before the first event.
        start = self._end if place is None else place
        yield b"retry: 1000\n" + self._id(start) + b"\n"
        while not self._closed:
            wake = self._wake
            if place is None or place < self._first:
                place = self._end
                yield self._id(place) + RESET
            elif batch := self._batch(place):
                place += len(batch)
                yield b"".join(batch)
            else:
                try:
                    await asyncio.wait_for(wake.wait(), HEARTBEAT)
                except TimeoutError:
                    yield ALIVE

    def _batch(self, place: int) -> list[bytes]:
        """Entries from position `place` on, up to WRITE_BYTES, at least one."""
        batch: list[bytes] = []
        size = 0
        for i in range(place - self._first, len(self._ring)):
            batch.append(self._ring[i])
            size += len(batch[-1])
            if size >= WRITE_BYTES:
                break
        return batch

    def _place_after(self, last_id: str | None) -> int | None:
        """The position after the event with that id; None if the events after it are not kept."""
        if last_id is None:
            return self._end
        name, _, position = last_id.partition("-")
        if name != self._name or not (position.isascii() and position.isdigit()):
            return None
        place = int(position[:20])
        return place if self._first <= place <= self._end else None


def _as_json(series: dict[str, Any]) -> dict[str, Any]:
    return {
        **series,
        "steps": series["steps"].tolist(),
        "values": strict_json.numbers(series["values"]),
    }
