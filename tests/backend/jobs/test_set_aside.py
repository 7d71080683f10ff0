"""A paused run leaves its slot to a run that waits, and goes on as if nothing had happened."""

import os
import signal

import pytest
from configs import config
from lab import ENDED, until

from backend.store.base import ConflictError


@pytest.fixture
def paused(lab):
    """Two runs, paused in the lab's two slots."""
    runs = [lab.submit(config()) for _ in range(2)]
    for run in runs:
        lab.reaches(run, 100)
        lab.steer(run, "pause")
        lab.becomes(run, "paused")
    yield runs
    for run in runs:
        if lab.status(run) not in ENDED:
            lab.steer(run, "cancel")
            lab.becomes(run, "cancelled")


def test_a_third_run_starts_and_the_resumed_one_ends_as_if_undisturbed(lab, paused, undisturbed):
    first, second = paused
    assert not any(lab.store.run(run).set_aside for run in paused)
    third = lab.submit(config(steps=10_000_000))
    lab.reaches(third, 10)
    aside, at = lab.store.run(first), lab.store.run(first).step
    assert (aside.status, aside.set_aside, aside.attempt) == ("paused", True, 1)
    assert not lab.store.run(second).set_aside
    fourth, waiting = (lab.submit(config(steps=10_000_000)) for _ in range(2))
    lab.reaches(fourth, 10)  # in the slot of the second
    lab.steer(first, "step", to=at + 5)
    assert lab.status(first) == "queued"
    lab.steer(third, "cancel")
    lab.becomes(first, "paused")  # before the run that waited longer
    until(lambda: lab.store.run(first).step == at + 5)
    lab.reaches(waiting, 10)  # for which it leaves its slot again
    lab.steer(first, "resume")
    for run in (fourth, waiting):
        lab.steer(run, "cancel")
    lab.becomes(first, "finished")
    assert lab.curve(first) == undisturbed
    kinds = [e.kind for e in lab.store.events(first)]
    assert kinds == ["paused", "attempt", "paused", "attempt"]


def test_one_that_is_set_aside_is_paused_again_and_cancelled_at_once(lab, paused):
    blocking = [lab.submit(config(steps=10_000_000)) for _ in range(2)]
    for run in blocking:
        lab.reaches(run, 10)
    first, second = paused
    lab.steer(first, "resume")
    assert lab.status(first) == "queued"
    lab.steer(first, "pause")
    assert lab.store.run(first).set_aside
    lab.steer(second, "cancel")
    assert lab.status(second) == "cancelled"
    never_started = lab.submit(config())
    with pytest.raises(ConflictError, match="is queued; only a running or paused run can be"):
        lab.steer(never_started, "pause")
    for run in (*blocking, never_started):
        lab.steer(run, "cancel")
        lab.becomes(run, "cancelled")


def test_one_whose_worker_is_killed_is_set_aside_and_goes_on(lab, paused, undisturbed):
    run = paused[0]
    os.kill(lab.pid(run), signal.SIGKILL)
    until(lambda: lab.store.run(run).set_aside)
    assert (lab.status(run), lab.store.run(run).attempt) == ("paused", 1)
    lab.steer(run, "resume")
    lab.becomes(run, "finished")
    assert lab.curve(run) == undisturbed
    assert [e.kind for e in lab.store.events(run)] == ["paused", "death", "attempt"]
