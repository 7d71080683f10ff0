"""A loop on another machine that is not heard of: it may come back, or be given up."""

import functools
import json
import threading

import pytest
from torch import nn

import gradlab
from backend.attach import delivery
from backend.attach.lab_connection import LabConnection
from backend.jobs import attached_runs
from backend.jobs.worker.outbox import unsent
from backend.jobs.worker.reporter import ReportTiming
from backend.jobs.worker.server_connection import UnreachableError
from backend.store.base import ConflictError

LOSS = nn.CrossEntropyLoss()
LONG_AGO = "2020-01-01T00:00:00.000Z"


@pytest.fixture
def elsewhere(open_lab, net, tmp_path):
    """A loop whose journal is in another home."""
    return gradlab.attach(
        net, LOSS, url=open_lab.url, token=open_lab.home.token, home=tmp_path / "there"
    )


def test_a_silent_loop_goes_on_until_it_is_cancelled(open_lab, elsewhere, monkeypatch, until):
    monkeypatch.setattr(attached_runs, "SILENCE", -10.0)
    run = elsewhere.id
    said = []
    open_lab.store.listen(lambda commit: said.append((commit.kind, commit.run)))
    open_lab.attached.look()
    assert open_lab.store.run(run).status == "running"
    assert ("run", run) in said, "the page is told how long it is silent"
    elsewhere.step(0)
    elsewhere._flush()
    until(lambda: open_lab.store.series(run))
    open_lab.store.steer(run, "cancel")
    open_lab.attached.look()
    assert open_lab.store.run(run).status == "cancelled"
    until(lambda: elsewhere.cancelled)
    elsewhere.close("cancelled")


def test_a_cancelled_loop_that_was_heard_of_just_now_ends_by_itself(open_lab, elsewhere):
    open_lab.store.steer(elsewhere.id, "cancel")
    open_lab.attached.look()
    assert open_lab.store.run(elsewhere.id).status == "running"
    elsewhere.close("cancelled")
    assert open_lab.store.run(elsewhere.id).status == "cancelled"


def test_points_of_a_silent_loop_arrive_after_the_lab_has_ended_its_run(
    open_lab, elsewhere, monkeypatch, until
):
    def unreachable(connection, report):
        raise UnreachableError

    run, send = elsewhere.id, LabConnection.send
    monkeypatch.setattr(LabConnection, "send", unreachable)
    for step in range(50):
        elsewhere.step(step)
        elsewhere.log({"loss": step})
        elsewhere._flush()
    open_lab.store.steer(run, "cancel")
    monkeypatch.setattr(attached_runs, "SILENCE", -10.0)
    open_lab.attached.look()
    assert open_lab.store.run(run).status == "cancelled"
    monkeypatch.setattr(LabConnection, "send", send)
    until(lambda: not elsewhere._delivery._reporter._outbox and elsewhere.cancelled)
    row = open_lab.store.run(run)
    assert (row.status, row.step) == ("cancelled", 50)
    assert open_lab.points(run, "train/loss") == [(s, float(s)) for s in range(49)]
    elsewhere.close("cancelled")


@pytest.mark.parametrize(("end", "error"), [("cancelled", None), ("failed", "why")])
def test_the_loop_s_own_end_replaces_the_lab_s(open_lab, elsewhere, end, error):
    open_lab.store.end(elsewhere.id, "failed", attached_runs.DIED)
    elsewhere.log({"loss": 1.0})
    elsewhere.close(end, error)
    row = open_lab.store.run(elsewhere.id)
    assert (row.status, row.error) == (end, error)
    assert open_lab.points(row.id, "train/loss") == [(0, 1.0)]
    assert not elsewhere._delivery._journal.path.exists()


def test_a_lab_that_takes_no_more_costs_no_point(open_lab, net, monkeypatch, until, caplog):
    """As one of an earlier version does, once a silent run was cancelled there."""

    def refuses(report):
        raise ConflictError("run 1 is cancelled; it takes no more reports")

    run = gradlab.attach(net, LOSS, home=open_lab.home.path)
    until(lambda: not run._delivery._reporter._outbox)
    monkeypatch.setattr(open_lab.store, "report", refuses)
    run.log({"loss": 1.0})
    run._flush()
    until(lambda: run.cancelled)
    run.close("cancelled")
    assert run._delivery._journal.path.is_dir()
    monkeypatch.undo()
    open_lab.attached.look()
    assert open_lab.points(run.id, "train/loss") == [(0, 1.0)]
    assert not run._delivery._journal.path.exists()


def test_a_script_that_dies_while_it_attaches_leaves_no_run_that_goes_on(
    open_lab, net, monkeypatch
):
    register = LabConnection.register

    def dies(connection):
        register(connection)
        raise ZeroDivisionError

    monkeypatch.setattr(LabConnection, "register", dies)
    with pytest.raises(ZeroDivisionError):
        gradlab.attach(net, LOSS, home=open_lab.home.path)
    ((row,), _) = open_lab.store.runs()
    assert row.status == "running"
    open_lab.attached.look()
    row = open_lab.store.run(row.id)
    assert (row.status, row.error) == ("failed", attached_runs.DIED)


def test_silence_begins_when_the_server_does(open_lab, elsewhere):
    """After a restart, loops have had no chance yet to report."""
    elsewhere.close()
    open_lab.store.update(elsewhere.id, status="running", heard=LONG_AGO, cancel=True)
    open_lab.attached.look()
    assert open_lab.store.run(elsewhere.id).status == "running"


@pytest.mark.parametrize("how", ["close", "script", "last reference", "reporter's thread"])
def test_the_end_is_written_past_a_full_buffer(open_lab, net, tmp_path, monkeypatch, until, how):
    quick = functools.partial(ReportTiming, longest_backoff=0.02)
    monkeypatch.setattr(delivery, "ReportTiming", quick)
    send, let_go, runs = LabConnection.send, threading.Event(), []

    def unreachable(connection, report):
        if let_go.is_set():
            runs.clear()
        raise UnreachableError

    monkeypatch.setattr(LabConnection, "send", unreachable)
    home, token = tmp_path / "there", open_lab.home.token
    runs.append(gradlab.attach(net, LOSS, url=open_lab.url, token=token, home=home, buffer=1))
    runs[0].log({"loss": 1.0})
    run, outbox = runs[0].id, runs[0]._delivery._journal.outbox
    ends = {
        "close": lambda: runs[0].close(),
        "script": lambda: runs[0].end_unclosed(None),
        "last reference": runs.clear,
        "reporter's thread": let_go.set,
    }
    end = threading.Thread(target=ends[how], daemon=True)
    end.start()
    until(lambda: [json.loads(r)["status"] for r in unsent(outbox)][-1] == "finished", 10)
    monkeypatch.setattr(LabConnection, "send", send)
    end.join(10)
    until(lambda: not outbox.parent.exists(), 10)
    assert open_lab.store.run(run).status == "finished"
    assert open_lab.points(run, "train/loss") == [(0, 1.0)]
