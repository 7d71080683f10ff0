"""Clients that do not finish, do not read, or come by the hundred, on real sockets."""

import json
import logging
import socket
import struct
import threading
from contextlib import ExitStack, closing, suppress

import httpx
import pytest

from backend.api import connections, guard
from backend.api.connections import LimitedProtocol
from backend.repeated_logs import RepeatFilter

HEAD = b"GET /api/health HTTP/1.1\r\nhost: localhost\r\n"
SECONDS = 10.0  # for what must come; far above every limit of these tests


@pytest.fixture
def address(served):
    """(host, port) of a real server."""
    url = httpx.URL(served[2])
    return url.host, url.port


@pytest.fixture
def connect(address):
    with ExitStack() as stack:

        def connect(sent: bytes = b"", **options: int) -> socket.socket:
            client = stack.enter_context(closing(socket.socket()))
            if "receive_buffer" in options:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["receive_buffer"])
            client.settimeout(SECONDS)
            client.connect(address)
            client.sendall(sent)
            return client

        yield connect


@pytest.fixture
def until(monkeypatch):
    """Waits for a state of the connections, which is looked at whenever one of them changes."""
    changed = threading.Condition()

    def announce(name: str) -> None:
        method = getattr(LimitedProtocol, name)

        def announced(protocol, *arguments):
            method(protocol, *arguments)
            with changed:
                changed.notify_all()

        monkeypatch.setattr(LimitedProtocol, name, announced)

    announce("connection_lost")
    announce("pause_writing")

    def until(state) -> None:
        with changed:
            assert changed.wait_for(state, SECONDS)

    return until


@pytest.fixture
def impatient(monkeypatch):
    """Limits of tenths of a second."""
    monkeypatch.setattr(LimitedProtocol, "head_seconds", 0.3)
    monkeypatch.setattr(LimitedProtocol, "write_seconds", 0.3)
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.3)
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.3)


def answer(client: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    chunks = []
    while chunk := client.recv(1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def healthy(address) -> bool:
    url = f"http://{address[0]}:{address[1]}/api/health"
    return httpx.get(url, timeout=SECONDS).status_code == 200


@pytest.mark.parametrize("sent", [b"", b"GET /api/hea", HEAD, HEAD + b"x: " + b"y" * 1000])
def test_a_head_that_never_ends_is_answered_and_closed(impatient, connect, address, sent):
    client = connect(sent)
    assert healthy(address)
    told = answer(client)
    assert told.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert json.loads(told.partition(b"\r\n\r\n")[2])["detail"].startswith("no complete request")


def test_the_head_of_a_second_request_has_the_same_limit(impatient, connect):
    client = connect(HEAD + b"\r\n")
    first = client.recv(1 << 16)
    assert first.startswith(b"HTTP/1.1 200")
    client.sendall(b"GET /api/hea")
    assert b"408 Request Timeout" in answer(client)


def test_a_body_that_never_ends_is_answered_and_closed(impatient, connect, address, app):
    token = app.state.lab.home.token
    head = (
        f"POST /api/runs HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
        "content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    )
    client = connect(head.encode())
    assert healthy(address)
    told = answer(client)
    assert told.startswith(b"HTTP/1.1 408")
    assert b"the body of the request did not arrive in" in told


def test_a_client_that_leaves_with_the_answer_is_no_error(
    monkeypatch, impatient, connect, address, caplog
):
    """It is gone before the server has closed its side, and before the event loop tells of it."""
    too_slow, answered = LimitedProtocol._head_too_slow, threading.Event()

    class Transport:
        def __init__(self, actual):
            self.actual = actual

        def __getattr__(self, name):
            return getattr(self.actual, name)

        def write(self, data):
            self.actual.write(data)
            client.recv(1)
            client.close()

    def watched(protocol):
        protocol.transport = Transport(protocol.transport)
        try:
            too_slow(protocol)
        finally:
            answered.set()

    # Before the connection, whose timer keeps the method that it finds.
    monkeypatch.setattr(LimitedProtocol, "_head_too_slow", watched)
    client = connect(b"GET /api/hea")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert answered.wait(SECONDS)
    assert healthy(address)
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_half_sent_requests_by_the_hundred_are_released(impatient, connect, address):
    clients = [connect(b"GET /api/hea") for _ in range(100)]
    assert healthy(address)
    assert all(b"408" in answer(client) for client in clients)


def test_too_many_connections_are_answered_and_the_rest_is_served(
    monkeypatch, until, served, connect, address
):
    monkeypatch.setattr(LimitedProtocol, "max_connections", 8)
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.3)
    connected = [connect() for _ in range(8)]
    for _ in range(20):
        told = answer(connect(HEAD + b"\r\n"))
        assert told.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"the lab has 8 connections; try again later" in told
    connected[0].sendall(HEAD + b"\r\n")
    assert connected[0].recv(1 << 16).startswith(b"HTTP/1.1 200")
    for client in connected:
        client.close()
    server = served[0]
    until(lambda: not server.server_state.connections)
    assert healthy(address)


def test_a_flood_above_the_limit_is_cut(monkeypatch, impatient, connect, address):
    monkeypatch.setattr(LimitedProtocol, "max_connections", 8)
    monkeypatch.setattr(connections, "MAX_ANSWERED", 4)
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 3600)
    monkeypatch.setattr(LimitedProtocol, "head_seconds", 3600)
    clients = [connect() for _ in range(8 + 4)]
    assert answer(connect()) == b""
    assert all(b"503" in answer(client) for client in clients[8:])


def test_a_client_that_does_not_read_is_cut(impatient, until, connect, served):
    path = httpx.get(f"{served[2]}/static/plotly.min.js").headers["location"]
    request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    client = connect(request, receive_buffer=4096)
    server = served[0]
    until(lambda: not server.server_state.connections)
    assert not server.server_state.connections
    with suppress(ConnectionResetError):
        assert b"\r\n\r\n" in answer(client), "the beginning of the file"


def test_the_server_ends_though_a_client_does_not_read(monkeypatch, until, connect, served):
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.3)
    server, thread, url = served
    path = httpx.get(f"{url}/static/plotly.min.js").headers["location"]
    connect(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode(), receive_buffer=4096)
    until(lambda: any(c.flow.write_paused for c in list(server.server_state.connections)))
    server.should_exit = True
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_storm_of_one_message_is_one_line(caplog):
    logger = logging.getLogger("test of repeated lines")
    logger.addFilter(RepeatFilter(interval=3600))
    for i in range(1000):
        logger.warning("connection %d failed", i)
        logger.info("a line that nobody else can cause")
    logger.warning("another message")
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == ["connection 0 failed", "another message"]


def test_two_errors_of_one_message_are_two_lines_and_the_number_left_out_is_told(caplog):
    logger = logging.getLogger("test of two errors")
    limited = RepeatFilter(interval=3600)
    logger.addFilter(limited)

    def fail(value):
        try:
            raise value
        except Exception:
            logger.exception("Exception in ASGI application\n")

    for _ in range(3):
        fail(ValueError("a"))
        fail(KeyError("b"))
    assert len(caplog.records) == 2
    limited._interval = 0.0
    fail(ValueError("a"))
    assert caplog.records[-1].getMessage().endswith("application (2 more since the last time)")


def test_an_error_whose_message_differs_each_time_is_one_line(caplog):
    """asyncio's messages name a handle with its time, or an object with its address."""
    logger = logging.getLogger("test of one place")
    logger.addFilter(RepeatFilter(interval=3600))
    for i in range(100):
        try:
            raise OSError("not connected")
        except OSError:
            logger.exception(f"Exception in callback close() handle: <TimerHandle when={i}>")
    assert len(caplog.records) == 1
