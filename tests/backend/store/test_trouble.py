"""Damaged, locked and full databases: a sentence, nothing changed, nothing lost."""

import logging
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from backend.store import DatabaseError, engine, open_engine, points, reports
from backend.store.engine import close_engine
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport

FULL = OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))


@pytest.fixture
def path(store, pen, tmp_path):
    """The file of a closed database with a finished run."""
    pen.write(range(50_000), np.random.default_rng(0).normal(size=50_000))
    pen.write([], [], status="finished")
    close_engine(store.engine)
    return tmp_path / "lab.db"


def test_opening_a_database_changes_nothing(path):
    before = path.read_bytes()
    close_engine(open_engine(f"sqlite:///{path}"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("page", [1, 3, -2])
def test_random_bytes_in_a_database_are_noticed_before_anything_is_written(path, page):
    whole = bytearray(path.read_bytes())
    start = page * engine.PAGE % len(whole)
    whole[start : start + engine.PAGE] = np.random.default_rng(0).bytes(engine.PAGE)
    path.write_bytes(whole)
    with pytest.raises(DatabaseError, match=r"it is damaged: .*put a backup") as refusal:
        open_engine(f"sqlite:///{path}")
    assert "\n" not in str(refusal.value)
    assert path.read_bytes() == whole


def test_a_locked_database_is_refused_in_a_sentence(path, monkeypatch):
    monkeypatch.setattr(engine, "LOCK_SECONDS", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="another program has locked it"):
            open_engine(f"sqlite:///{path}")


def test_a_full_disk_is_logged_once_and_no_report_is_lost(store, pen, monkeypatch, caplog):
    store_report = reports._store
    caplog.set_level(logging.WARNING)

    def full(*_):
        raise FULL

    monkeypatch.setattr(reports, "_store", full)
    report = WorkerReport(
        pen.run.id, 1, 0, "running",
        [SeriesPoints("a", "", "", "", np.arange(3), np.arange(3.0))],
    )  # fmt: skip
    for _ in range(3):
        with pytest.raises(OperationalError):
            store.report(report)
    monkeypatch.setattr(reports, "_store", store_report)
    for expected in (True, False):
        assert store.report(report)[1] is expected
    assert caplog.messages == [
        "reports cannot be stored, and their workers wait: database or disk is full",
        "reports are stored again; nothing was lost",
    ]
    assert pen.read().count == 3


def test_points_that_cannot_be_merged_stay_as_they_are(pen, store, rows, monkeypatch):
    def full(*_):
        raise FULL

    for k in range(3):
        pen.write([k], [k])
    monkeypatch.setattr(points, "merge_series", full)
    pen.write([], [], status="finished")
    assert store.run(pen.run.id).status == "finished"
    assert rows() == 3
    assert pen.read().steps.tolist() == [0, 1, 2]
