"""Microscopes in the lab: queued, worked on, killed and begun again as runs are."""

import shutil
from typing import Any

import pytest
from configs import config

from backend.jobs import run_checkpoints
from backend.jobs.run_folders import run_folder
from backend.store.base import ConflictError, MissingError
from backend.store.tables import new_id

DRAWS = 2000


@pytest.fixture(scope="module")
def parent(lab):
    run = lab.submit(config(steps=50))
    lab.becomes(run, "finished", seconds=60)
    return lab.store.run(run)


def place(lab, parent, **changed: Any) -> str:
    """Queue a microscope at the parent's newest checkpoint."""
    run, step = new_id("r"), run_checkpoints.choose_step(lab.home, parent, None)
    run_checkpoints.keep(lab.home, parent, step, run)
    of = {"run": parent.id, "step": step, "draws": DRAWS, **changed}
    made = {"id": run, "kind": "microscope", "parent": parent.id, "parent_step": step}
    held = {**parent.config, "microscope": of}
    lab.store.create_runs([{**made, "config": held, "labels": {}, "steps": DRAWS}])
    lab.supervisor.submit(run)
    return run


def test_a_killed_one_begins_again_and_sees_the_same(lab, parent):
    run = place(lab, parent)
    lab.stops_at(run, 100)
    lab.kill(run)
    lab.becomes(run, "finished", seconds=60)
    again = place(lab, parent)
    lab.becomes(again, "finished", seconds=60)
    for metric in ("draw/cosine", "draw/across", "exact/norm"):
        curve, other = (_whole(lab, one, metric) for one in (run, again))
        assert curve == other
    assert _whole(lab, run, "draw/cosine")[0] == list(range(DRAWS))
    assert [e.kind for e in lab.store.events(run)] == ["death", "attempt", "verdict"]
    assert lab.store.run(run).attempt == 2


def _whole(lab, run, metric):
    (series,) = [s for s in lab.store.series(run) if s.metric == metric and not s.layer]
    points = lab.store.points(series.id)
    return points.steps.tolist(), points.values.tobytes()


def test_it_keeps_what_it_looks_at_and_can_be_cancelled(lab, parent):
    run = place(lab, parent, draws=100_000)
    shutil.rmtree(run_folder(lab.home, parent.id) / "checkpoints")
    lab.reaches(run, 1)
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")
    seen = lab.store.run(run)
    assert run_checkpoints.available_steps(lab.home, seen) == [50]
    assert run_checkpoints.choose_step(lab.home, seen, None) == 50
    with pytest.raises(ConflictError, match="has no checkpoint; it writes the first"):
        run_checkpoints.choose_step(lab.home, parent, None)
    with pytest.raises(MissingError, match="no longer has its checkpoint of step 50"):
        run_checkpoints.keep(lab.home, parent, 50, "r0")
    with pytest.raises(MissingError, match="no longer has its checkpoint of step 50"):
        run_checkpoints.config_at(lab.home, parent, 50)
    assert not run_folder(lab.home, "r0").exists()


def test_it_has_no_learning_rate(lab, parent):
    held = {"kind": "microscope", "config": parent.config, "labels": {}, "steps": 8}
    (run,), _ = lab.store.create_runs([held])
    with pytest.raises(ConflictError, match="is a microscope, which trains nothing"):
        lab.store.change(run.id, 0.1)
    lab.store.end(run.id, "cancelled")
