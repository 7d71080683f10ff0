"""`Hub`: the event stream. Each event is encoded once and kept in one bounded ring for all clients.

A client has no queue of its own but a position in the ring. If a client is too slow and its
position is overwritten, it gets the event `reset`, and the page fetches again what it shows.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from backend import strict_json
from backend.api.models import run_view
from backend.store import Store
from backend.store.base import Commit, MissingError

RING_EVENTS = 4096
RING_BYTES = 16_000_000
MAX_EVENT_BYTES = 1_000_000
"""From this size on, fetching again is cheaper than the event."""
HEARTBEAT = 15.0  # seconds
RUN_INTERVAL = 0.25  # seconds between two `run` events of one run
WRITE_BYTES = 262_144  # written at a time
MAX_CLIENTS = 256


class Entry(NamedTuple):
    """An encoded event; the id is that of a report, or None."""

    id: int | None
    data: bytes


def encode(kind: str, data: Any, id: int | None = None) -> Entry:
    """One server-sent event."""
    head = "" if id is None else f"id: {id}\n"
    return Entry(id, f"{head}event: {kind}\ndata: {strict_json.dumps(data)}\n\n".encode())


RESET = encode("reset", {})


class Hub:
    """Sends what the store commits to all clients."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ring: deque[Entry] = deque()
        self._first = 0  # the position of the ring's oldest entry
        self._bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._closed = False
        self._due: set[str] = set()
        self._last_sent: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._send_lock = asyncio.Lock()
        self.clients = 0
        store.listen(self._committed)

    def open(self) -> None:
        """Start, on the running event loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End every client's stream."""
        self._closed = True
        self._wake_clients()

    def publish(self, kind: str, data: Any, id: int | None = None) -> None:
        """Send an event to all clients, from any thread."""
        entry = encode(kind, data, id)
        if len(entry.data) > MAX_EVENT_BYTES:
            entry = Entry(id, RESET.data)
        self._call(self._append, entry)

    def _call(self, function: Any, *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _committed(self, commit: Commit) -> None:
        if commit.kind == "points":
            series = [_as_json(s) for s in commit.series]
            self.publish("points", {"run": commit.run, "series": series}, commit.report)
        elif commit.kind == "truncate":
            self.publish("truncate", {"run": commit.run, "step": commit.step})
        elif commit.kind == "deleted":
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
                entry = await asyncio.to_thread(self._encode_run, run_id)
            except MissingError:
                self._last_sent.pop(run_id, None)
                return
            self._append(entry)

    def _encode_run(self, run_id: str) -> Entry:
        return encode("run", run_view(self._store, self._store.run(run_id)).model_dump())

    def _append(self, entry: Entry) -> None:
        self._ring.append(entry)
        self._bytes += len(entry.data)
        while len(self._ring) > RING_EVENTS or self._bytes > RING_BYTES:
            self._bytes -= len(self._ring.popleft().data)
            self._first += 1
        self._wake_clients()

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
        yield b"retry: 1000\n\n"
        while not self._closed:
            wake = self._wake
            if place is None or place < self._first:
                place = self._first + len(self._ring)
                yield RESET.data
            elif batch := self._batch(place):
                place += len(batch)
                yield b"".join(batch)
            else:
                try:
                    await asyncio.wait_for(wake.wait(), HEARTBEAT)
                except TimeoutError:
                    yield b":\n\n"

    def _batch(self, place: int) -> list[bytes]:
        """Entries from position `place` on, up to WRITE_BYTES, at least one."""
        batch: list[bytes] = []
        size = 0
        for i in range(place - self._first, len(self._ring)):
            batch.append(self._ring[i].data)
            size += len(batch[-1])
            if size >= WRITE_BYTES:
                break
        return batch

    def _place_after(self, last_id: str | None) -> int | None:
        """The position after the event with that id; None if it is not in the ring."""
        if last_id is None:
            return self._first + len(self._ring)
        for i in range(len(self._ring) - 1, -1, -1):
            if str(self._ring[i].id) == last_id:
                return self._first + i + 1
        return None


def _as_json(series: dict[str, Any]) -> dict[str, Any]:
    return {
        **series,
        "steps": series["steps"].tolist(),
        "values": strict_json.numbers(series["values"]),
    }
