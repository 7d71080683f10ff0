"""The event stream: in order, continued after a loss, bounded, closed at the end."""

import asyncio
import json

import numpy as np
import pytest

from backend.api import hub as hubs
from backend.api.hub import Hub
from backend.store import Store, open_engine
from backend.store.points import SeriesPoints
from backend.store.reports import ReportedProgress, WorkerReport


@pytest.fixture
def store(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'lab.db'}")
    yield Store(engine)
    engine.dispose()


@pytest.fixture
def run(store):
    run = store.create_run({"name": "r", "steps": 100}, {"driver": "backprop", "shadows": []})
    return store.begin_attempt(run.id)[0].id


def flush(*values: float) -> SeriesPoints:
    return SeriesPoints("train/loss", "", "", "nats", np.arange(len(values)), np.array(values))


def parse(data: bytes) -> list[tuple[str, object, str | None]]:
    """(event, data, id) of each event in a piece of a stream; heartbeats and retries left out."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"]), fields.get("id")))
    return found


class Listener:
    """A client that reads piece by piece."""

    def __init__(self, hub: Hub, last_id: str | None = None) -> None:
        self.pieces = hub.events(last_id)
        self.seen: list = []

    async def start(self):
        head = (await anext(self.pieces)).decode()
        retry, id, *rest = head.split("\n")
        assert (retry, rest) == ("retry: 1000", ["", ""])
        self.id = id.removeprefix("id: ")
        return self

    async def until(self, kind: str, count: int = 1) -> list:
        async with asyncio.timeout(10):
            while sum(e[0] == kind for e in self.seen) < count:
                self.seen += parse(await anext(self.pieces))
        return [e for e in self.seen if e[0] == kind]


def live(test):
    """Run an async test; nothing here needs a plug-in of pytest."""

    def wrapped(store, run):
        asyncio.run(test(store, run))

    return wrapped


async def report(store, run, sequence, *series, status="running", step=0):
    body = WorkerReport(run, 1, sequence, status, series, ReportedProgress(step, 100))
    return await asyncio.to_thread(store.report, body)


@live
async def test_points_and_progress_are_told(store, run):
    hub = Hub(store)
    hub.open()
    listener = await Listener(hub).start()
    await report(store, run, 0, flush(1.0, np.nan, np.inf), step=3)
    ((_, points, id),) = await listener.until("points")
    (series,) = points["series"]
    assert points["run"] == run
    assert (series["metric"], series["steps"]) == ("train/loss", [0, 1, 2])
    assert series["values"] == [1.0, "NaN", "Infinity"]
    assert id is not None
    (told,) = await listener.until("run")
    assert (told[1]["id"], told[1]["step"]) == (run, 3)


@live
async def test_a_lost_stream_goes_on_where_it_ended(store, run):
    hub = Hub(store)
    hub.open()
    first = await Listener(hub).start()
    for i in range(4):
        await report(store, run, i, flush(float(i)))
    events = await first.until("points", 4)
    second = await Listener(hub, last_id=events[1][2]).start()
    rest = await second.until("points", 2)
    assert [e[1]["series"][0]["values"] for e in rest] == [[2.0], [3.0]]
    assert not [e for e in second.seen if e[0] == "reset"]


@live
async def test_a_state_read_before_a_run_was_deleted_is_not_sent_after(store, run):
    hub = Hub(store)
    hub.open()
    page = await Listener(hub).start()
    loop, read = asyncio.get_running_loop(), hub._encode_run

    def slow(run_id):
        event = read(run_id)
        store.end(run_id, "cancelled")
        store.delete(run_id)
        settled = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop)
        settled.result()  # the event of the deletion is in the ring
        return event

    hub._encode_run = slow
    await asyncio.to_thread(store.update, run, step=5)
    await page.until("deleted")
    while hub._tasks:
        await asyncio.gather(*hub._tasks)
    hub.publish("catalogue", {"version": "new"})
    await page.until("catalogue")
    assert [event[0] for event in page.seen][-2:] == ["deleted", "catalogue"]


@live
async def test_a_stream_lost_before_its_first_event_misses_nothing(store, run):
    hub = Hub(store)
    hub.open()
    lost = await Listener(hub).start()
    await asyncio.to_thread(store.update, run, step=5)
    await asyncio.to_thread(store.end, run, "cancelled")
    await asyncio.to_thread(store.delete, run)
    hub.publish("catalogue", {"version": "new"})
    again = await Listener(hub, lost.id).start()
    await again.until("catalogue")
    kinds = [event[0] for event in again.seen]
    assert kinds[-2:] == ["deleted", "catalogue"]
    assert "reset" not in kinds


@live
async def test_an_event_of_any_kind_is_a_place_to_go_on(store, run):
    hub = Hub(store)
    hub.open()
    first = await Listener(hub).start()
    hub.publish("catalogue", {"version": "1"})
    hub.publish("deleted", {"run": "x"})
    hub.publish("catalogue", {"version": "2"})
    await first.until("catalogue", 2)
    second = await Listener(hub, first.seen[0][2]).start()
    await second.until("catalogue")
    assert [event[0] for event in second.seen] == ["deleted", "catalogue"]


@live
async def test_another_servers_ids_are_reset(store, run):
    former, hub = Hub(store), Hub(store)
    former.open()
    hub.open()
    lost = await Listener(former).start()
    listener = await Listener(hub, lost.id).start()
    await listener.until("reset")


@live
async def test_what_left_the_ring_or_never_was_there_is_reset(store, run):
    hub = Hub(store)
    hub.open()
    own = (await Listener(hub).start()).id.rpartition("-")[0]
    for last_id in ("999", "nonsense", "", f"{own}5", f"{own}-5", f"{own}-", f"{own}--2"):
        listener = await Listener(hub, last_id).start()
        await listener.until("reset")
        assert listener.seen[0][0] == "reset"


@live
async def test_a_slow_client_is_reset_and_costs_no_memory(store, run):
    hub = Hub(store)
    hub.open()
    slow = await Listener(hub).start()
    for i in range(hubs.RING_EVENTS + 500):
        hub.publish("catalogue", {"version": str(i)})
    await asyncio.sleep(0)
    assert len(hub._ring) == hubs.RING_EVENTS
    await slow.until("reset")
    assert [event[:2] for event in slow.seen] == [("reset", {})]
    hub.publish("catalogue", {"version": "last"})
    assert (await slow.until("catalogue"))[0][1] == {"version": "last"}


@live
async def test_the_ring_is_bounded_in_bytes(store, run):
    hub = Hub(store)
    hub.open()
    for _ in range(40):
        hub.publish("catalogue", {"version": "x" * 900_000})
    await asyncio.sleep(0)
    assert sum(len(e) for e in hub._ring) <= hubs.RING_BYTES
    assert hub._bytes == sum(len(e) for e in hub._ring)


@live
async def test_a_huge_report_is_told_as_a_reset(store, run):
    hub = Hub(store)
    hub.open()
    listener = await Listener(hub).start()
    await report(store, run, 0, flush(*np.linspace(0, 1, 100_000)))
    await listener.until("reset")
    assert not [e for e in listener.seen if e[0] == "points"]


@live
async def test_progress_is_told_four_times_a_second_at_most(store, run):
    hub = Hub(store)
    hub.open()
    listener = await Listener(hub).start()
    began = asyncio.get_running_loop().time()
    for i in range(100):
        await report(store, run, i, step=i)
    while not [e for e in await listener.until("run") if e[1]["step"] == 99]:
        await listener.until("run", len([e for e in listener.seen if e[0] == "run"]) + 1)
    passed = asyncio.get_running_loop().time() - began
    told = [e[1]["step"] for e in listener.seen if e[0] == "run"]
    assert told == sorted(told)
    assert len(told) <= 2 + passed / hubs.RUN_INTERVAL


@live
async def test_truncation_and_deletion_are_told(store, run):
    hub = Hub(store)
    hub.open()
    listener = await Listener(hub).start()
    await asyncio.to_thread(store.begin_attempt, run, 7)
    assert (await listener.until("truncate"))[0][1] == {"run": run, "step": 7}
    await asyncio.to_thread(store.end, run, "failed", "boom")
    await asyncio.to_thread(store.delete, run)
    assert (await listener.until("deleted"))[0][1] == {"run": run}


@live
async def test_closing_ends_every_stream(store, run):
    hub = Hub(store)
    hub.open()
    listeners = [await Listener(hub).start() for _ in range(3)]
    waiting = [asyncio.ensure_future(anext(one.pieces)) for one in listeners]
    await asyncio.sleep(0)
    hub.close()
    async with asyncio.timeout(5):
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(end, StopAsyncIteration) for end in ends)
    assert hub.clients == 0


@live
async def test_silence_is_broken_by_a_heartbeat(store, run):
    hub = Hub(store)
    hub.open()
    listener = await Listener(hub).start()
    waiting, hubs.HEARTBEAT = hubs.HEARTBEAT, 0.01
    try:
        assert parse(await anext(listener.pieces)) == [("alive", {}, None)]
    finally:
        hubs.HEARTBEAT = waiting
