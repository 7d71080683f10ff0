"""Rehearsals: what a fork at that rate would do, on its own batches, and which rate is offered."""

from dataclasses import replace

import numpy as np
import pytest

from backend.config import MicroscopeConfig
from backend.series.points import Points
from backend.training.components.assemble import assemble
from backend.training.control import Control
from backend.training.loop import train
from backend.training.microscope import rehearsal
from backend.training.microscope.draw_loop import DrawLoop
from backend.training.microscope.frozen_run import load_frozen_run
from backend.training.microscope.rehearsal import STEPS, WINDOW, Rehearsal, rehearse
from backend.training.microscope.setup import Setup
from backend.training.records import Event

BEGIN = 20


@pytest.fixture
def checkpoint(config, tmp_path):
    """A folder with the checkpoint of step 20 of a run by plain SGD."""
    list(train(config(steps=BEGIN, optimizer={"name": "sgd", "lr": 0.1}), checkpoint_dir=tmp_path))
    return tmp_path


@pytest.fixture
def setup(config, checkpoint):
    def made(**changes):
        asked = {"run": "r1", "step": BEGIN, "draws": 8, "what_if": {}}
        run = MicroscopeConfig.model_validate(
            {**config(**changes).model_dump(), "microscope": asked}
        )
        assembly = assemble(run)
        return Setup(run, assembly, load_frozen_run(run, assembly, checkpoint, device="cpu"))

    return made


def rehearsed(setup, best, control=None):
    """The points by metric, and the sentence."""
    records = list(rehearse(setup, setup.estimators[0], best, DrawLoop(control or Control(), 8)))
    points = {r.metric.removeprefix("what_if/"): r for r in records if isinstance(r, Points)}
    return points, [r.text for r in records if isinstance(r, Event)]


def test_it_does_what_a_fork_by_plain_sgd_does(setup, config, gather, checkpoint, tmp_path):
    def fork(rate):
        steps = BEGIN + STEPS
        run = config(steps=steps, optimizer={"name": "sgd", "lr": rate})
        losses = gather(train(run, origin=checkpoint)).of("train/loss")
        return np.array([losses[step] for step in range(BEGIN, steps)])

    points, _ = rehearsed(setup(), best=0.05)
    at_rest = fork(1e-30)  # the weights stay those of the checkpoint
    expected = (fork(0.05) - at_rest).reshape(-1, WINDOW).mean(1)
    measured = points["rehearsal/0.05"]
    assert measured.steps.tolist() == [50, 100, 150, 200]
    # float32 losses of about 1, and weights that differ by rounding after up to 200 steps
    rounding = STEPS * float(np.finfo(np.float32).eps)
    assert measured.values == pytest.approx(expected, abs=rounding)


def test_a_rate_that_diverges_in_the_first_window_is_reported_all_the_same(setup):
    points, (text,) = rehearsed(setup(), best=1e30)
    first = points["rehearsal/1e+30"]
    assert "at 1e+30 the loss was not finite after" in text
    assert first.steps.tolist() == [WINDOW]
    assert np.isinf(first.values).all()
    assert all(len(each.steps) == len(each.values) > 0 for each in points.values())


def test_the_largest_rate_tried_that_can_be_kept_up_is_offered(setup):
    points, (text,) = rehearsed(setup(), best=2e3)
    tried = [float(name.partition("/")[2]) for name in points if name.startswith("rehearsal/")]
    kept = points["kept_rate"].values[0]
    assert tried == [2000.0, 600.0, 200.0, 60.0, 20.0]
    assert np.isnan(kept)
    assert text.startswith("backprop: no rate that was tried can be kept up for 200 steps of plain")
    assert "at 2e+03 " in text
    assert text.endswith("(5,000 forward passes)")
    points, (text,) = rehearsed(setup(), best=0.05)
    assert points["kept_rate"].values.tolist() == [0.05]
    assert text.startswith("backprop: 0.05 is the largest rate tried that can be kept up for 200")


def test_a_rate_whose_loss_rises_is_not_kept_up():
    flat = Rehearsal(0.1, [0.0] + [-1.0] * STEPS)
    assert flat.holds
    assert not replace(flat, changes=flat.changes[:STEPS]).holds, "the last update is judged too"
    for place, value in ((STEPS, float("inf")), (10, float("nan"))):
        changes = list(flat.changes)
        changes[place] = value
        assert not replace(flat, changes=changes).holds
        assert replace(flat, changes=changes).diverged_at == place
    rises_at_last = [-1.0] * (STEPS - WINDOW) + [0.01] * (WINDOW + 1)
    assert not replace(flat, changes=rises_at_last).holds
    falls_at_last = [5.0] * (STEPS - WINDOW) + [-0.01] * (WINDOW + 1)
    assert replace(flat, changes=falls_at_last).holds


def test_a_costly_estimator_is_rehearsed_at_fewer_rates_or_not(setup, monkeypatch):
    monkeypatch.setattr(rehearsal, "MAX_PASSES", 2 * 5 * STEPS)  # an update takes five passes
    points, _ = rehearsed(setup(), best=2e3)
    assert sum(name.startswith("rehearsal/") for name in points) == 2
    monkeypatch.setattr(rehearsal, "MAX_PASSES", 5 * STEPS - 1)
    points, (text,) = rehearsed(setup(), best=2e3)
    assert np.isnan(points["kept_rate"].values[0])
    assert text == (
        "backprop: no rate was rehearsed: 200 steps take 1,000 forward passes, more than 999"
    )


def test_it_ends_when_told(setup):
    control = Control()
    control.update(cancel=True)
    points, texts = rehearsed(setup(), 0.05, control)
    assert (points, texts) == ({}, [])
