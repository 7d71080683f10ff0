"""A copied home knows that it is one; a backup is a whole home."""

import base64
import errno
import json
import os
import shutil

import numpy as np
import pytest

from backend import home_copies as copies
from backend import serve
from backend.home import open_home
from backend.home_copies import BackupError, backup, original_of, settle, with_identity
from backend.settings import Settings
from backend.store import Store, open_engine
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """The file that holds the id of this machine."""
    path = tmp_path / "machine-id"
    path.write_text("this machine\n")
    monkeypatch.setattr(copies, "MACHINE", path)
    return path


@pytest.fixture
def home(tmp_path):
    """The path of a home that was served."""
    settle(open_home(tmp_path / "lab"))
    return tmp_path / "lab"


@pytest.fixture
def copied(home, tmp_path):
    return shutil.copytree(home, tmp_path / "copy")


def test_a_copy_names_its_original(home, copied):
    assert original_of(open_home(home)) is None
    assert original_of(open_home(copied)) == str(home)


def test_a_copy_takes_an_identity_of_its_own_once(home, copied):
    first, second = open_home(home), open_home(copied)
    renewed = with_identity(second, None)
    assert renewed.instance != first.instance
    assert renewed.token != first.token
    assert original_of(renewed) == str(home), "until it is settled: the server may be killed first"
    settle(renewed)
    again = open_home(copied)
    assert original_of(again) is None
    assert (again.instance, again.token) == (renewed.instance, renewed.token)
    assert (open_home(home).instance, open_home(home).token) == (first.instance, first.token)


def test_a_given_token_is_kept(copied):
    assert with_identity(open_home(copied), "given-by-somebody").token == "given-by-somebody"


def test_a_renamed_home_is_no_copy(home, tmp_path):
    home.rename(tmp_path / "renamed")
    moved = open_home(tmp_path / "renamed")
    assert original_of(moved) is None
    settle(moved)
    shutil.copytree(tmp_path / "renamed", tmp_path / "copy")
    assert original_of(open_home(tmp_path / "copy")) == str(tmp_path / "renamed")


def test_a_home_moved_to_another_disk_is_no_copy(home, copied, machine):
    shutil.rmtree(home)
    assert original_of(open_home(copied)) is None
    machine.write_text("another machine\n")
    assert original_of(open_home(copied)) == str(home), "the original may be running elsewhere"


def test_a_copy_at_the_path_of_its_original_is_a_copy(home, copied):
    """As in a container, where every home is at the same path."""
    shutil.rmtree(home)
    copied.rename(home)
    assert original_of(open_home(home)) == str(home)


def test_a_home_of_an_earlier_version_is_no_copy(home):
    (home / "place").unlink()
    assert original_of(open_home(home)) is None


@pytest.mark.parametrize("text", ["", "[]", '{"path": "/x"}'])
def test_a_damaged_record_is_written_anew(home, text):
    (home / "place").write_text(text)
    opened = open_home(home)
    assert original_of(opened) is None
    settle(opened)
    assert str(home) in (home / "place").read_text()


@pytest.fixture
def with_runs(home):
    """A lab with one run of each kind of status, with points of the first."""
    engine = open_engine(f"sqlite:///{home / 'lab.db'}")
    store = Store(engine)
    statuses = ("running", "queued", "paused", "finished")
    runs = [store.create_run({"name": status}, {}) for status in statuses]
    for run in runs:
        store.begin_attempt(run.id)
    points = SeriesPoints("train/loss", "", "", "", np.arange(5000), np.arange(5000.0))
    store.report(WorkerReport(runs[0].id, 1, 0, "running", [points]))
    for run, status in zip(runs, statuses, strict=True):
        store.update(run.id, status=status)
    checkpoints = home / "runs" / runs[0].id / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "step-8.safetensors").write_bytes(b"weights")
    (checkpoints.parent / "worker.json").write_text("{}")
    (home / "plugins" / "mine.py").write_text("x = 1\n")
    yield store, runs[0].id
    engine.dispose()


def test_a_server_on_a_copy_does_not_go_on_with_the_originals_runs(home, with_runs, tmp_path):
    store, _ = with_runs
    store.engine.dispose()
    shutil.copytree(home, tmp_path / "copy")
    settings = Settings(home=tmp_path / "copy", port=0)
    with serve._lab(settings) as lab:
        (note,) = lab.notes
        assert note.startswith(f"This home is a copy of {home}")
        assert "3 runs that were active" in note
        mine = Store(open_engine(settings.database))
        assert mine.active() == []
        runs, _ = mine.runs()
        interrupted = [run for run in runs if run.status == "failed"]
        assert len(interrupted) == 3
        for run in interrupted:
            assert run.error.startswith(f"Interrupted: this lab is a copy of {home}")
            assert [event.kind for event in mine.events(run.id)][-1] == "interrupted"
        assert lab.home.token == (tmp_path / "copy" / "token").read_text()
        assert lab.home.token != (home / "token").read_text()
        mine.engine.dispose()
    with serve._lab(settings) as lab:
        assert lab.notes == ()
    assert {run.status for run in store.active()} == {"running", "queued", "paused"}


def test_a_backup_is_a_home_that_knows_what_it_is(home, with_runs, tmp_path):
    """The server goes on meanwhile: its log holds what the file does not."""
    store, run = with_runs
    with store.reading() as session:
        session.connection()
        size = backup(home, tmp_path / "kept" / "backup")
    made = tmp_path / "kept" / "backup"
    assert sorted(path.name for path in made.iterdir()) == ["lab.db", "place", "plugins", "runs"]
    assert size == sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    assert (made / "runs" / run / "checkpoints" / "step-8.safetensors").read_bytes() == b"weights"
    assert not (made / "runs" / run / "worker.json").exists()
    assert (made / "plugins" / "mine.py").exists()
    copy = Store(open_engine(f"sqlite:///{made / 'lab.db'}"))
    assert copy.series(run)[0].count == 5000
    copy.engine.dispose()
    opened = open_home(made)
    assert opened.token != (home / "token").read_text()
    assert original_of(opened) == str(home)


def test_a_backup_has_the_points_that_the_server_has_not_stored_yet(home, with_runs, tmp_path):
    """A checkpoint may be ahead of the database by the reports in its worker's outbox."""
    _, run = with_runs
    steps, values = (
        base64.b64encode(numbers.tobytes()).decode()
        for numbers in (np.arange(5000, 6000), np.arange(5000.0, 6000.0))
    )
    series = {"metric": "train/loss", "steps": steps, "values": values}
    report = {"run": run, "attempt": 1, "sequence": 1, "status": "running", "series": [series]}
    half_written = b'{"run": '
    (home / "runs" / run / "outbox-1").write_bytes(
        json.dumps(report).encode() + b"\n" + half_written
    )
    backup(home, tmp_path / "backup")
    settings = Settings(home=tmp_path / "backup", port=0)
    with serve._lab(settings):
        served = Store(open_engine(settings.database))
        assert served.run(run).status == "failed"
        assert served.series(run)[0].count == 6000
        served.engine.dispose()


def test_a_checkpoint_that_is_replaced_meanwhile_is_left_out(
    home, with_runs, tmp_path, monkeypatch
):
    _, run = with_runs
    gone = home / "runs" / run / "checkpoints" / "step-4.safetensors"
    monkeypatch.setattr(copies, "_files", lambda _: [gone])
    backup(home, tmp_path / "backup")
    assert (tmp_path / "backup" / "lab.db").exists()


def test_where_no_backup_can_be_made(home, with_runs, tmp_path, monkeypatch):
    with pytest.raises(BackupError, match="there is no lab in"):
        backup(tmp_path / "nothing", tmp_path / "backup")
    (tmp_path / "taken").mkdir()
    with pytest.raises(BackupError, match="taken exists"):
        backup(home, tmp_path / "taken")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(copies, "_copy_database", full)
    with pytest.raises(BackupError, match="cannot be made: No space left on device"):
        backup(home, tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))
