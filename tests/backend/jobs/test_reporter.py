"""The reporter against a server that comes, goes and refuses."""

import base64
import errno
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from backend.jobs.worker import reporter as reporter_module
from backend.jobs.worker.outbox import Outbox, unsent
from backend.jobs.worker.reporter import Reporter, ReportTiming
from backend.jobs.worker.server_connection import ServerConnection

QUICK = ReportTiming(heartbeat=0.02, longest_backoff=0.02)
LOSS = ("train/loss", "", "", "nats")
ANSWER = {"run_until": None, "cancel": False, "stop": False, "changes": []}


class Server(ThreadingHTTPServer):
    """Keeps the reports that it accepts; answers with `status` and `answer`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reports: list[dict] = []
        self.status, self.answer = 200, dict(ANSWER)
        self.asked = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self):
        report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 200:
            self.server.reports.append(report)
        body = json.dumps(self.server.answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.asked.set()

    def log_message(self, *_):
        pass


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(tmp_path):
    with serving() as server:
        move(tmp_path, server)
        yield server


@pytest.fixture
def reporter(tmp_path, server):
    return make(tmp_path)


def make(home, timing=QUICK, on_orders=lambda orders: None, on_gone=lambda: None):
    connection = ServerConnection(home, "token")
    return Reporter("r1", 1, connection, home / "outbox", on_orders, on_gone, timing)


def hand_over(reporter, first, count):
    steps = np.arange(first, first + count)
    reporter.points(LOSS, steps, steps / 2)
    reporter.commit("running")


def move(home, server):
    (home / "lock").write_text(json.dumps({"pid": 1, "url": server.url}))


def received(server):
    series = [s for r in server.reports for s in r["series"]]
    steps = [np.frombuffer(base64.b64decode(s["steps"]), "<i8") for s in series]
    values = [np.frombuffer(base64.b64decode(s["values"]), "<f8") for s in series]
    return np.concatenate(steps).tolist(), np.concatenate(values).tolist()


def test_everything_arrives_in_order_and_the_end_is_committed(reporter, server):
    reporter.start()
    reporter.facts({"device": "cpu"})
    for first in range(0, 100, 10):
        hand_over(reporter, first, 10)
    reporter.progress(step=100, steps=100, rate=1.0, seconds=1.0)
    reporter.commit("finished")
    reporter.close()
    steps, values = received(server)
    assert steps == list(range(100))
    assert values == [s / 2 for s in steps]
    assert server.reports[-1]["status"] == "finished"
    assert server.reports[-1]["progress"]["step"] == 100
    assert [r["facts"] for r in server.reports if r["facts"]] == [{"device": "cpu"}]
    assert [r["sequence"] for r in server.reports] == sorted(
        {r["sequence"] for r in server.reports}
    )


def test_heartbeats_bring_orders_back(tmp_path, server):
    heard = threading.Event()
    reporter = make(tmp_path, on_orders=lambda orders: heard.set() if orders["cancel"] else None)
    reporter.start()
    server.answer["cancel"] = True
    assert heard.wait(5)
    reporter.close()


def test_a_server_that_moved_is_found_by_its_lock(tmp_path):
    with serving() as first:
        move(tmp_path, first)
    reporter = make(tmp_path)
    reporter.start()
    hand_over(reporter, 0, 50)
    with serving() as server:
        move(tmp_path, server)
        hand_over(reporter, 50, 50)
        reporter.commit("finished")
        reporter.close()
        assert received(server)[0] == list(range(100))
    assert (tmp_path / "outbox").read_bytes() == b""


def test_the_loop_waits_when_the_outbox_is_full(tmp_path):
    full = ReportTiming(heartbeat=0.02, longest_backoff=0.02, outbox=1000)
    reporter = make(tmp_path, timing=full)
    reporter.start()
    hand_over(reporter, 0, 200)
    loop = threading.Thread(target=hand_over, args=(reporter, 200, 10))
    loop.start()
    loop.join(0.05)
    assert loop.is_alive()
    with serving() as server:
        move(tmp_path, server)
        loop.join(5)
        reporter.close()
        assert received(server)[0] == list(range(210))


def test_what_a_lost_worker_had_flushed_is_still_there(tmp_path):
    reporter = make(tmp_path)
    reporter.start()
    hand_over(reporter, 0, 5)
    with (tmp_path / "outbox").open("ab") as file:
        file.write(b'{"cut off in the mid')
    reports = [json.loads(r) for r in unsent(tmp_path / "outbox")]
    assert [r["series"][0]["metric"] for r in reports] == ["train/loss"]
    with serving() as server:
        move(tmp_path, server)
        reporter.close()


@pytest.mark.parametrize("status", [409, 404])
def test_a_superseded_attempt_falls_silent(tmp_path, server, status):
    server.status = status
    left = threading.Event()
    reporter = make(tmp_path, on_gone=left.set)
    reporter.start()
    hand_over(reporter, 0, 1)
    assert left.wait(5)
    hand_over(reporter, 1, 1)
    assert not reporter.close()
    assert len([*unsent(tmp_path / "outbox")]) == 2, "what was not taken is kept"


def test_a_server_in_trouble_is_asked_again(reporter, server):
    server.status = 503
    reporter.start()
    hand_over(reporter, 0, 3)
    assert server.asked.wait(5)
    server.status = 200
    reporter.close()
    assert received(server)[0] == [0, 1, 2]


def speak_and_close(reporter):
    hand_over(reporter, 0, 1)
    reporter.close()


def test_a_report_that_is_refused_as_wrong_ends_the_loop(reporter, server):
    server.status = 422
    reporter.start()
    with pytest.raises(RuntimeError, match="422"):
        speak_and_close(reporter)  # whichever of its calls comes after the answer
    with pytest.raises(RuntimeError, match="422"):
        reporter.close()


@pytest.fixture
def small_parts(monkeypatch):
    """Each series of a flush is a report of its own."""
    monkeypatch.setattr(reporter_module, "PART", 1)


def several_series(reporter, count):
    for index in range(count):
        reporter.points((f"m{index}", "", "", ""), np.arange(3), np.ones(3))


def test_all_parts_of_a_refused_flush_are_kept(tmp_path, server, small_parts):
    server.status = 422
    reporter = make(tmp_path)
    reporter.start()
    reporter._thread.join(5)
    several_series(reporter, 4)
    reporter.event(3, "paused", "at step 3")
    reporter.facts({"device": "cpu"})
    with pytest.raises(RuntimeError, match="422"):
        reporter.commit("failed", "why")
    with pytest.raises(RuntimeError, match="422"):
        reporter.close()
    *parts, last = [json.loads(r) for r in unsent(tmp_path / "outbox")]
    series = [s["metric"] for report in [*parts, last] for s in report["series"]]
    assert series == ["m0", "m1", "m2", "m3"]
    assert [part["status"] for part in parts] == ["running"] * 3
    assert (last["status"], last["error"]) == ("failed", "why")
    assert (last["events"][0]["text"], last["facts"]) == ("at step 3", {"device": "cpu"})


def test_a_heartbeat_does_not_announce_an_end_that_is_not_written_yet(
    reporter, server, small_parts, monkeypatch
):
    parts = reporter_module._parts

    def heartbeats(reporter):
        with reporter._changed:
            for _ in range(3):  # one that was under way, a report, and one after it
                server.asked.clear()
                while not server.asked.is_set():
                    reporter._changed.wait(0.005)

    def slow(series):
        heartbeats(reporter)
        return parts(series)

    monkeypatch.setattr(reporter_module, "_parts", slow)
    monkeypatch.setattr(Reporter, "_wait_for_disk", heartbeats)
    reporter.start()
    several_series(reporter, 2)
    reporter.commit("failed", "why")
    reporter.close()
    first = next(r for r in server.reports if r["status"] == "failed")
    assert first["error"] == "why"
    assert [s["metric"] for s in first["series"]] == ["m1"]
    numbers = [r["sequence"] for r in server.reports]
    assert numbers == sorted(set(numbers))


def test_a_heartbeat_waits_for_an_end_that_is_written_as_it_falls_due(
    tmp_path, server, monkeypatch
):
    heartbeat, ended = Reporter._heartbeat, []

    def after_the_end(reporter):
        if not ended:
            ended.append(True)
            reporter.commit("failed", "why")
        return heartbeat(reporter)

    monkeypatch.setattr(Reporter, "_heartbeat", after_the_end)
    reporter = make(tmp_path, timing=ReportTiming(heartbeat=0.0))
    reporter.start()
    hand_over(reporter, 0, 1)
    assert server.asked.wait(5)
    reporter.close()
    first = next(r for r in server.reports if r["status"] == "failed")
    assert first["error"] == "why"


def test_the_outbox_is_a_queue(tmp_path):
    outbox = Outbox(tmp_path / "o", limit=10)
    outbox.append(b"one")
    outbox.append(b"twotwotwo")
    assert outbox.full
    assert (outbox.head(), len(outbox)) == (b"one", 2)
    outbox.drop()
    assert outbox.head() == b"twotwotwo"
    outbox.drop()
    assert not outbox.full
    assert not outbox
    outbox.close()


@pytest.fixture
def room(monkeypatch):
    """Whether the disk takes a report: while unset, a write is cut off half-way."""
    room, write = threading.Event(), Outbox._write

    def full(outbox, line):
        if room.is_set():
            return write(outbox, line)
        write(outbox, line[: len(line) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Outbox, "_write", full)
    return room


def test_the_loop_waits_while_the_disk_is_full_and_nothing_is_lost(tmp_path, room):
    reporter = make(tmp_path)
    reporter.start()
    loop = threading.Thread(target=hand_over, args=(reporter, 0, 10))
    loop.start()
    loop.join(0.05)
    assert loop.is_alive()
    room.set()
    loop.join(5)
    assert len(list(unsent(tmp_path / "outbox"))) == 1
    hand_over(reporter, 10, 10)
    with serving() as server:
        move(tmp_path, server)
        reporter.close()
        assert received(server)[0] == list(range(20))
        (said,) = [e for r in server.reports for e in r["events"]]
        assert "the disk is full" in said["text"]


def test_a_server_that_answers_makes_up_for_a_full_disk(reporter, server, room):
    reporter.start()
    for first in range(0, 50, 10):
        hand_over(reporter, first, 10)
    reporter.close()
    assert received(server)[0] == list(range(50))
    assert len([e for r in server.reports for e in r["events"]]) == 1


def test_orders_are_heard_while_the_disk_is_full(tmp_path, server, room):
    heard = threading.Event()
    reporter = make(tmp_path, on_orders=lambda orders: heard.set() if orders["cancel"] else None)
    reporter.start()
    server.answer["cancel"] = True
    hand_over(reporter, 0, 1)
    assert heard.wait(5)
    reporter.close()


def test_a_full_disk_is_waited_for_no_longer_than_the_end_allows(tmp_path, room):
    reporter = make(tmp_path)
    reporter.start()
    reporter.end_within(0)
    hand_over(reporter, 0, 10)
    hand_over(reporter, 10, 10)
    assert reporter.lost == 2
    assert not reporter.close(0)
    assert not list(unsent(tmp_path / "outbox"))


def test_a_report_that_waits_for_the_disk_is_not_replaced_by_the_next(tmp_path, server, room):
    """An interrupt in the wait leaves it unsaved; the end of the run comes behind it."""
    reporter = make(tmp_path)
    waits = reporter._wait_for_disk

    def interrupted():
        reporter._wait_for_disk = waits
        raise KeyboardInterrupt

    reporter._wait_for_disk = interrupted
    with pytest.raises(KeyboardInterrupt):
        hand_over(reporter, 0, 10)
    room.set()
    reporter.end_within(None)
    reporter.start()
    hand_over(reporter, 10, 10)
    reporter.close()
    assert received(server)[0] == list(range(20))
