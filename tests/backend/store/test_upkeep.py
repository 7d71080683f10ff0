"""Long work is done in short transactions; space of deleted runs is given back."""

import shutil
import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest
from sqlalchemy import event, text

from backend.store import Store, base, engine, open_engine
from backend.store.base import MissingError
from backend.store.engine import close_engine
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport
from backend.store.summaries import SUMMARISED
from backend.store.upkeep import Housekeeper


@pytest.fixture
def large(store, run):
    """A finished run of several chunks."""
    points = np.arange(100_000)
    series = [SeriesPoints(m, "", "", "", points, points * 1.0) for m in "abc"]
    store.report(WorkerReport(run.id, 1, 0, "running", series))
    store.report(WorkerReport(run.id, 1, 1, "finished"))
    return run


def counts(store) -> dict[str, int]:
    tables = ("run", "series", "chunk", "chunk_summary", "report", "attempt", "event")
    with store.engine.connect() as connection:
        return {
            name: connection.execute(text(f"SELECT COUNT(*) FROM {name}")).scalar_one()
            for name in tables
        }


def test_a_deleted_run_is_found_nowhere_at_once(store, large):
    token = store.begin_attempt(store.create_run({"name": ""}, {}, {}).id)[1]
    store.delete(large.id)
    with pytest.raises(MissingError):
        store.run(large.id)
    with pytest.raises(MissingError):
        store.find(str(large.number))
    runs, total = store.runs()
    assert ([run.number for run in runs], total) == ([2], 1)
    assert store.by_token(token).number == 2
    with pytest.raises(MissingError):
        store.delete(large.id)


def test_a_deleted_runs_worker_has_no_token(store, run):
    other, token = store.begin_attempt(run.id)
    store.end(other.id, "cancelled")
    store.delete(other.id)
    with pytest.raises(MissingError):
        store.by_token(token)


def test_rows_of_deleted_runs_are_removed_and_no_others(store, large):
    other = store.create_run({"name": "kept"}, {})
    store.begin_attempt(other.id)
    points = SeriesPoints("a", "", "", "", np.arange(9), np.arange(9.0))
    store.report(WorkerReport(other.id, 1, 0, "running", [points]))
    store.log(large.id, "note", "text")
    store.delete(large.id)
    assert store.remove_deleted()
    assert counts(store) == {
        "run": 1, "series": 1, "chunk": 1, "chunk_summary": 0, "report": 1, "attempt": 1,
        "event": 0,
    }  # fmt: skip
    assert not store.remove_deleted()


def test_the_space_of_a_deleted_run_is_given_back(store, large, tmp_path):
    close_engine(store.engine)
    before = (tmp_path / "lab.db").stat().st_size
    store.delete(large.id)
    store.remove_deleted()
    close_engine(store.engine)
    after = (tmp_path / "lab.db").stat().st_size
    assert before > 2_400_000
    assert after < 600_000


def test_others_write_between_the_transactions_of_long_work(store, monkeypatch):
    """A writer that waits gets the lock in each pause."""
    wrote, waiting = [], []

    def write(n):
        with store.writing():
            wrote.append(n)

    def work(_session, n):
        waiting.append(threading.Thread(target=write, args=(n,)))
        waiting[-1].start()

    monkeypatch.setattr(base, "TURN", 0.0)
    monkeypatch.setattr(base.time, "sleep", lambda _: waiting[-1].join(10))
    store.in_turns([1, 2, 3], work)
    assert wrote == [1, 2, 3]


@pytest.mark.parametrize("work", ["merge", "remove"])
def test_merging_and_removing_take_many_transactions(store, run, work, monkeypatch):
    monkeypatch.setattr(base, "TURN", 0.0)
    points = np.arange(1000)
    for k in range(2):
        steps = points + 1000 * k
        series = [SeriesPoints(f"m{i}", "", "", "", steps, steps * 1.0) for i in range(8)]
        store.report(WorkerReport(run.id, 1, k, "running", series))
    began = []

    def begin(connection):
        began.append(connection.get_execution_options().get("writing", False))

    event.listen(store.engine, "begin", begin)
    store.end(run.id, "cancelled")
    if work == "remove":
        store.delete(run.id)
        began.clear()
        store.remove_deleted()
    assert sum(began) > 8


def test_what_a_server_did_not_finish_the_next_one_does(store, large):
    store.delete(large.id)
    store.closing.set()
    store.remove_deleted()
    assert counts(store)["chunk"] > 0
    again = Store(store.engine)
    emptied = threading.Event()
    remove = again.remove_deleted
    again.remove_deleted = lambda: (remove(), emptied.set())
    housekeeper = Housekeeper(again)
    housekeeper.start()
    assert emptied.wait(10)
    housekeeper.close()
    assert counts(store)["chunk"] == 0


def test_chunks_of_earlier_versions_get_summaries(store, large):
    with store.writing() as session:
        session.execute(text("DELETE FROM chunk_summary"))
    store.summarise()
    assert counts(store)["chunk_summary"] == counts(store)["chunk"] == 3


def test_chunks_of_few_points_get_none(pen, store):
    pen.write(range(SUMMARISED - 1), range(SUMMARISED - 1))
    store.summarise()
    assert counts(store)["chunk_summary"] == 0
    pen.write(range(2000, 2000 + SUMMARISED), range(SUMMARISED))
    store.summarise()
    assert counts(store)["chunk_summary"] == 1


def auto_vacuum(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA auto_vacuum").fetchone()[0]


@pytest.mark.parametrize(("most", "mode"), [(1 << 30, 2), (0, 0)])
def test_a_file_of_an_earlier_version_is_rewritten_once(tmp_path, monkeypatch, most, mode):
    from alembic import command

    path = tmp_path / "lab.db"
    old = open_engine(f"sqlite:///{path}")
    config = engine.alembic_config()
    with old.execution_options(writing=True).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
    close_engine(old)
    # The new file was rewritten when it was made: play an earlier version.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA auto_vacuum=0")
        connection.execute("VACUUM")
    assert auto_vacuum(path) == 0
    monkeypatch.setattr(engine, "MOST_REWRITTEN", most)
    close_engine(open_engine(f"sqlite:///{path}"))
    assert auto_vacuum(path) == mode


def test_a_closed_database_is_one_whole_file(store, large, tmp_path):
    close_engine(store.engine)
    assert [path.name for path in tmp_path.iterdir()] == ["lab.db"]
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "lab.db", tmp_path / "copy")
    copied = Store(open_engine(f"sqlite:///{tmp_path / 'copy' / 'lab.db'}"))
    assert [series.count for series in copied.series(large.id)] == [100_000] * 3
    copied.engine.dispose()


def test_a_copy_is_whole_even_while_a_reader_is_there(store, large, tmp_path):
    """A reader keeps the log from being removed, not from being written into the file."""
    reader = store.engine.connect()
    reader.execute(text("SELECT 1"))
    close_engine(store.engine)
    shutil.copy(tmp_path / "lab.db", tmp_path / "alone.db")
    reader.close()
    copied = Store(open_engine(f"sqlite:///{tmp_path / 'alone.db'}"))
    assert [series.count for series in copied.series(large.id)] == [100_000] * 3
    copied.engine.dispose()
