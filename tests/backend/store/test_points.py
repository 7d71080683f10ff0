"""The points store: what goes in comes out, thinned only where asked, in few bytes."""

import threading

import numpy as np
import pytest
from sqlalchemy import text

from backend.store import Store, open_engine
from backend.store import points as writing
from backend.store.chunks import FULL, SMALL, join, pack, unpack
from backend.store.points import SeriesPoints
from backend.store.reports import MERGE_EVERY, WorkerReport


@pytest.mark.parametrize(
    "steps", [[0], [5, 5], [0, 1, 2], [3, 10, 17], [0, 1, 3], [0, 2**40], [7, 7, 7, 8]]
)
def test_packing_is_exact(steps):
    values = np.array([np.nan, -0.0, np.inf, 1e-320][: len(steps)])
    back = unpack(pack(np.array(steps), values))
    assert back[0].tolist() == steps
    assert back[1].tobytes() == values.tobytes()


def test_even_steps_cost_nothing():
    even, odd = pack(np.arange(0, 100, 4), np.zeros(25)), pack(np.array([0, 1, 3]), np.zeros(3))
    assert (len(even.steps), len(odd.steps)) == (0, 24)


@pytest.mark.parametrize(("steps", "values"), [([], []), ([1], []), ([2, 1], [0, 0])])
def test_what_are_no_points(steps, values):
    with pytest.raises(ValueError, match=r"at least 1|not decrease"):
        pack(np.array(steps, np.int64), np.array(values, np.float64))


def test_rows_that_overlap_are_put_in_order():
    a = pack(np.array([0, 4, 8]), np.array([0.0, 4, 8]))
    b = pack(np.array([2, 4, 6]), np.array([2.0, 40, 6]))
    steps, values = join([a, b])
    assert steps.tolist() == [0, 2, 4, 4, 6, 8]
    assert values.tolist() == [0, 2, 4, 40, 6, 8]


def test_ranges(pen):
    for k in range(5):
        pen.write(range(k * 10, k * 10 + 10), range(k * 10, k * 10 + 10))
    assert pen.read(first=8, last=12).steps.tolist() == [8, 9, 10, 11, 12]
    assert pen.read(first=48).count == 2
    assert pen.read(last=-1).count == 0
    assert pen.read().count == 50


@pytest.mark.parametrize("step", [0, 1, 10, 15, 49, 50, 1000])
@pytest.mark.parametrize("merged", [False, True])
def test_a_cut_removes_every_later_point_and_no_other(pen, store, step, merged):
    for k in range(5):
        pen.write(range(k * 10, k * 10 + 10), range(k * 10, k * 10 + 10))
    if merged:
        store.compact(pen.run.id)
    store.begin_attempt(pen.run.id, step)
    got = pen.read()
    assert got.steps.tolist() == list(range(min(step, 50)))
    assert got.values.tolist() == got.steps.tolist()


def test_a_cut_spares_other_runs(pen, store):
    other = store.create_run({"name": "", "steps": 9}, {})
    store.begin_attempt(other.id)
    store.report(
        WorkerReport(other.id, 1, 0, "running",
                     [SeriesPoints("a", "", "", "", np.arange(9), np.arange(9.0))])
    )  # fmt: skip
    pen.write(range(9), range(9))
    store.begin_attempt(pen.run.id, 3)
    (series,) = store.series(other.id)
    assert series.count == 9


def test_a_finished_run_is_packed_tightly(pen, rows):
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.integers(1, 5, 100_000))
    values = rng.standard_normal(100_000)
    for k in range(0, 100_000, 1000):
        pen.write(steps[k : k + 1000], values[k : k + 1000])
    assert rows() == 100
    pen.write([], [], status="finished")
    assert rows() == 2
    got = pen.read()
    assert np.array_equal(got.steps, steps)
    assert np.array_equal(got.values, values)


def test_merging_joins_neighbours_alone(pen, store, rows):
    for steps in (range(3), range(3, 6), range(6, 6 + SMALL), range(9000, 9003), range(9003, 9006)):
        pen.write(steps, steps)
    with store.writing() as session:
        assert writing.merge(session.connection(), pen.run.id, SMALL) == 2
    assert rows() == 3
    with store.engine.connect() as connection:
        bounds = text("SELECT first_step, last_step FROM chunk ORDER BY first_step")
        chunks = [tuple(row) for row in connection.execute(bounds)]
    assert chunks == [(0, 5), (6, 5 + SMALL), (9000, 9005)]


def test_a_run_that_goes_on_is_merged_now_and_then(pen, rows):
    for k in range(2 * MERGE_EVERY + 10):
        pen.write([k], [k])
    assert rows() <= 12
    assert pen.read().steps.tolist() == list(range(2 * MERGE_EVERY + 10))


def test_merged_points_take_at_most_twenty_bytes(pen, store, tmp_path):
    rng = np.random.default_rng(0)
    count = 3 * FULL
    steps = np.cumsum(rng.integers(1, 5, count))
    for k in range(0, count, 4096):
        pen.write(steps[k : k + 4096], rng.standard_normal(len(steps[k : k + 4096])))
    pen.write([], [], status="finished")
    store.engine.dispose()
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "lab.db")) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (tmp_path / "lab.db").stat().st_size / count < 20


def test_readers_see_whole_reports_while_one_writes(pen, store):
    """Every report writes to two series; no reader may see one without the other."""
    pen.write([0], [0], metric="a")
    pen.write([0], [0], metric="b")
    a, b = (s.id for s in store.series(pen.run.id))
    torn, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            counts = {s.id: s.count for s in store.series(pen.run.id)}
            if counts[a] != counts[b]:
                torn.append(counts)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for k in range(1, 150):
        both = [SeriesPoints(m, "", "", "", np.array([k]), np.array([0.0])) for m in "ab"]
        store.report(WorkerReport(pen.run.id, 1, 1000 + k, "running", both))
    stop.set()
    for reader in readers:
        reader.join()
    assert not torn
    assert [s.count for s in store.series(pen.run.id)] == [150, 150]


def test_many_writers_take_turns(store):
    def write(run_id):
        for k in range(30):
            flush = SeriesPoints("a", "", "", "", np.array([k]), np.array([1.0]))
            store.report(WorkerReport(run_id, 1, k, "running", [flush]))

    runs = [store.create_run({"name": "", "steps": 30}, {}) for _ in range(6)]
    for run in runs:
        store.begin_attempt(run.id)
    threads = [threading.Thread(target=write, args=(run.id,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.series(run.id)[0].count for run in runs] == [30] * 6


def test_writers_of_two_processes_wait_for_each_other(store, tmp_path):
    """Two stores share no lock but the database's own."""
    other = Store(open_engine(f"sqlite:///{tmp_path / 'lab.db'}"))
    first, second = (store.create_run({"name": "", "steps": 60}, {}).id for _ in range(2))
    failed = []

    def write(mine, run_id):
        try:
            mine.begin_attempt(run_id)
            for k in range(60):
                flush = SeriesPoints("a", "", "", "", np.array([k]), np.array([1.0]))
                mine.report(WorkerReport(run_id, 1, k, "running", [flush]))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=p) for p in ((store, first), (other, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.engine.dispose()
    assert not failed
    assert [store.series(run)[0].count for run in (first, second)] == [60, 60]


def test_the_latest_value_of_each_series(pen, store):
    pen.write([1, 2], [1.0, 2.0], metric="a")
    pen.write([3], [np.nan], metric="b")
    pen.write([5], [7.0], metric="a")
    a, b = (s.id for s in store.series(pen.run.id))
    latest = store.latest(pen.run.id)
    assert latest[a] == (5, 7.0)
    assert latest[b][0] == 3
    assert np.isnan(latest[b][1])
