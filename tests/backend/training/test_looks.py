"""The microscope's other looks: where variance comes from, and what one step would do."""

import numpy as np
import pytest

from backend.config import MicroscopeConfig
from backend.training.control import Control
from backend.training.loop import train
from backend.training.microscope import look

FORWARD = {"name": "forward_gradient"}
LAYERS = ["", "hidden1", "head", "head.linear.weight"]


@pytest.fixture
def seen(config, gather, tmp_path, plugins):
    """Trains a run of 20 steps and looks at it."""
    run = config(steps=20, shadows=[FORWARD])
    assert gather(train(run, checkpoint_dir=tmp_path / "c")).ended.status == "finished"

    def make(control=None, estimators=None, **of):
        body = run.model_dump()
        if estimators:
            body |= {"estimator": estimators[0], "shadows": estimators[1:]}
        of = {"run": "r1", "step": 20, "draws": 8, **of}
        asked = MicroscopeConfig.model_validate({**body, "microscope": of})
        return gather(look(asked, control, folder=tmp_path / "c", plugin_dirs=plugins))

    return make


def test_an_anatomy_grows_with_its_batches_and_is_checked(seen):
    found = seen(anatomy={"batches": 12}, draws=8)
    assert found.ended.status == "finished", found.ended.error
    total = 12 * 8 * 2 + 24 * 2
    assert (found.progress[-1].step, found.progress[-1].steps) == (total, total)
    for layer in LAYERS:
        for label in ("backprop", "forward_gradient"):
            for part in ("data", "estimator", "fixed", "signal"):
                assert list(found.of(f"anatomy/{part}", layer, label)) == [2, 3, 4, 6, 8, 12]
            assert list(found.of("anatomy/data_se", layer, label)) == [8, 12]
    assert found.of("anatomy/estimator", "", "backprop")[12] == pytest.approx(0, abs=1e-12)
    data = [found.of("anatomy/data", "", label)[12] for label in ("backprop", "forward_gradient")]
    error = found.of("anatomy/data_se", "", "forward_gradient")[12]
    assert abs(data[0] - data[1]) < 5 * error
    for label in ("backprop", "forward_gradient"):
        (predicted,), (measured,), *errors = (
            found.of(f"anatomy/check/{name}", "", label).values()
            for name in ("predicted", "measured", "predicted_se", "measured_se")
        )
        assert abs(predicted - measured) < 5 * np.hypot(*(next(iter(e)) for e in errors))


def test_a_what_if_step_tells_every_draw_at_every_rate(seen):
    found = seen(what_if={}, draws=64)
    assert found.ended.status == "finished", found.ended.error
    usual = found.of("what_if/learning_rate")[0]
    rates = [m for m, _, e in found.points if m.startswith("what_if/change/") and e == "backprop"]
    assert f"what_if/change/{usual:.6g}" in rates
    assert len(rates) > 8
    for name in ("slope", "curvature", f"change/{usual:.6g}"):
        assert list(found.of(f"what_if/{name}", "", "forward_gradient")) == list(range(64))
    assert list(found.of("what_if/best_rate", "", "backprop")) == [8, 16, 32, 64]
    slope, curve = (found.of(f"what_if/{n}", "", "backprop")[0] for n in ("slope", "curvature"))
    assert found.of("what_if/best_rate", "", "backprop")[64] == pytest.approx(slope / curve)
    decrease = found.of("what_if/expected_decrease", "", "backprop")[64]
    assert decrease == pytest.approx(slope**2 / curve / 2)
    assert [e.kind for e in found.events] == ["what-if", "what-if"]


def test_a_step_that_is_too_long_is_counted_and_not_lost(seen):
    found = seen(what_if={"rates": [1e-3, 1e6]}, draws=4)
    huge = np.array(list(found.of("what_if/change/1e+06", "", "forward_gradient").values()))
    assert len(huge) == 4
    assert not np.isnan(huge).any()
    assert found.of("what_if/nonfinite", "", "forward_gradient")[4] == 0


@pytest.mark.parametrize("of", [{"anatomy": {"batches": 64}}, {"what_if": {}}], ids=str)
@pytest.mark.parametrize(("order", "status"), [("cancel", "cancelled"), ("stop", "stopped")])
def test_they_end_between_two_chunks_and_tell_what_was_measured(of, order, status, seen):
    control = Control()
    control.update(cancel=order == "cancel", stop=order == "stop")
    found = seen(control, draws=1000, **of)
    assert found.ended.status == status
    assert found.progress[-1].step < 100
