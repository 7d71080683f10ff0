"""Limits on connections: their number, and the time for a request's head and for a reader.

uvicorn has a time limit for idle connections between two requests alone. Without the limits of
this module, a client that never finishes its request, or never reads its response, keeps a
connection and its file descriptor for as long as it likes.
"""

import asyncio
import json
import logging
import resource
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""For the head of a request, from its first byte; for the first one, from the connection."""
WRITE_SECONDS = 30.0
"""For a client that does not read, from the moment that its buffers are full."""
CLOSE_SECONDS = 3.0
"""For a client to take the rest of a response from a connection that is being closed."""
MAX_CONNECTIONS = 1024
RESERVED_DESCRIPTORS = 256
"""File descriptors for the database, checkpoints, exports, the pipes of workers, and for
connections that asyncio accepts at a time before it tells of them (`BACKLOG`)."""
BACKLOG = 128
MIN_CONNECTIONS = 16
MAX_ANSWERED = 64
"""Connections above the limit that are answered at a time; others are cut without an answer."""

logger = logging.getLogger("uvicorn.error")


def connection_limit() -> int:
    """The number of connections for which this process has file descriptors.

    Raises the process's own limit to what the operating system allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + RESERVED_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, soft - RESERVED_DESCRIPTORS))


class LimitedProtocol(H11Protocol):
    """One HTTP connection with time limits, refused with 503 if there are too many."""

    max_connections = MAX_CONNECTIONS
    head_seconds = HEAD_SECONDS
    write_seconds = WRITE_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or answer that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            logger.warning(
                "more than %d connections: new ones are refused with 503", self.max_connections
            )
            if len(self.connections) > self.max_connections + MAX_ANSWERED:
                self._refused = True
                self.transport.abort()
                return
            self._refuse(503, f"the lab has {self.max_connections} connections; try again later")
            return
        self._head_timer = self._after(self.head_seconds, self._head_too_slow)

    def data_received(self, data: bytes) -> None:
        """Read, and take the time of a head that is not complete yet."""
        if self._refused:
            return
        previous = self.cycle
        super().data_received(data)
        if self.cycle is not previous:
            self._head_timer = _cancelled(self._head_timer)
        elif self._head_timer is None and (previous is None or previous.response_complete):
            self._head_timer = self._after(self.head_seconds, self._head_too_slow)

    def pause_writing(self) -> None:
        """The client does not read as fast as it is written to."""
        super().pause_writing()
        self._write_timer = self._after(self.write_seconds, self._reads_too_slowly)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._write_timer = _cancelled(self._write_timer)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, whether its client reads or not."""
        super().timeout_keep_alive_handler()
        self._abort_soon()

    def shutdown(self) -> None:
        """Close at the server's end, whether the client reads or not."""
        super().shutdown()
        self._abort_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._head_timer = _cancelled(self._head_timer)
        self._write_timer = _cancelled(self._write_timer)
        super().connection_lost(exc)

    def _after(self, seconds: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, action)

    def _abort_soon(self) -> None:
        self._after(CLOSE_SECONDS, self.transport.abort)

    def _head_too_slow(self) -> None:
        self._refuse(408, f"no complete request arrived in {self.head_seconds:g} s")

    def _reads_too_slowly(self) -> None:
        logger.warning("a client did not read for %g s; its connection is cut", self.write_seconds)
        self.transport.abort()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer without a request, and close."""
        self._refused = True
        if self.transport.is_closing():
            return
        phrase = {408: "Request Timeout", 503: "Service Unavailable"}[status]
        body = json.dumps({"detail": detail}).encode()
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # What the client still sends is read and dropped: closing the connection before would
        # discard the answer. The client closes it, or the limit does.
        with suppress(OSError):  # the client is gone, which the event loop has not told yet
            self.transport.write_eof()
        self._abort_soon()


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    """Cancel a timer if there is one; always None, to be assigned in its place."""
    if timer is not None:
        timer.cancel()
