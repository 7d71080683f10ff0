"""A loop on another machine that is not heard of: it may come back, or be given up."""

import pytest
from torch import nn

import gradlab
from backend.jobs import attached_runs

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


def test_silence_begins_when_the_server_does(open_lab, elsewhere):
    """After a restart, loops have had no chance yet to report."""
    elsewhere.close()
    open_lab.store.update(elsewhere.id, status="running", heard=LONG_AGO, cancel=True)
    open_lab.attached.look()
    assert open_lab.store.run(elsewhere.id).status == "running"
