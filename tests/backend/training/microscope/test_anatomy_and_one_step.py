"""The microscope's other looks: where variance comes from, and what one step would do."""

import numpy as np
import pytest

from backend.config import Microscope, MicroscopeConfig
from backend.training.control import Control
from backend.training.loop import train
from backend.training.microscope.run import run_microscope

FORWARD = {"name": "forward_gradient"}
LAYERS = ["", "hidden1", "head", "head.linear.weight"]


@pytest.fixture
def look_at(config, gather, tmp_path, plugins):
    """Trains a run of 20 steps, unless it is there, and looks at it."""
    folder = tmp_path / "c"

    def make(body, control=None, **of):
        run = config(**{"steps": 20, "shadows": [FORWARD], **body})
        if not folder.exists():
            trained = train(run, checkpoint_dir=folder, plugin_dirs=plugins)
            assert gather(trained).ended.status == "finished"
        of = {"run": "r1", "step": 20, "draws": 8, **of}
        asked = MicroscopeConfig.model_validate({**run.model_dump(), "microscope": of})
        return gather(run_microscope(asked, control, folder=folder, plugin_dirs=plugins))

    return make


@pytest.fixture
def seen(look_at):
    """Looks at a run of backprop with a forward gradient beside it."""
    return lambda control=None, **of: look_at({}, control, **of)


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
    assert [e.kind for e in found.events] == ["what-if", "what-if", "rehearsal", "rehearsal"]


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


def test_what_was_measured_of_whole_batches_survives_a_cancellation(seen, monkeypatch):
    from backend.training.microscope import anatomy

    control, visits = Control(), []
    visit = anatomy.NestedDraws.visit

    def counted(self, place, loop):
        visits.append(place)
        control.update(cancel=place == 5)
        return visit(self, place, loop)

    monkeypatch.setattr(anatomy.NestedDraws, "visit", counted)
    found = seen(control, anatomy={"batches": 64})
    assert found.ended.status == "cancelled"
    assert list(found.of("anatomy/data", "", "backprop")) == [2, 3, 4, 5]
    assert visits == [0, 1, 2, 3, 4, 5]


def test_pausing_and_going_on_changes_nothing(seen):
    class Asking(Control):
        def wait(self, step, timeout):
            self.update()

    for of in ({"anatomy": {"batches": 3}}, {"what_if": {"rates": [0.1, 1.0]}}):
        plain, paused = seen(**of), seen(Asking(run_until=3), **of)
        assert paused.curve() == plain.curve()
        assert "paused" in [p.status for p in paused.progress]


@pytest.mark.parametrize(
    "body",
    [
        {"network": {"name": "mlp", "width": 8, "depth": 1, "normalisation": "batch"}},
        {"estimator": {"name": "fdfa"}},
        {"estimator": {"name": "mean_of_draws", "inner": {"name": "weight_mirror"}}},
        {"estimator": {"name": "drifting"}},
    ],
    ids=["norm", "fdfa", "wrapped", "drifting"],
)
def test_networks_that_couple_a_batch_and_estimators_that_learn(body, look_at):
    for of in ({"anatomy": {"batches": 2}}, {"what_if": {}}):
        found = look_at(body, draws=4, **of)
        assert found.ended.status == "finished", found.ended.error


def test_one_draw_and_two_looks_at_once_are_refused():
    for of, said in (
        ({"draws": 1}, "one draw has no variance; give at least 2"),
        ({"anatomy": {"batches": 1}}, "greater than or equal to 2"),
        ({"anatomy": {}, "what_if": {}}, "anatomy and what_if are given; a microscope takes one"),
        ({"what_if": {"rates": [0.0]}}, "greater than 0"),
        ({"what_if": {"rates": [0.1, 0.1]}}, "a learning rate comes twice; give each once"),
    ):
        with pytest.raises(ValueError, match=said):
            Microscope.model_validate({"run": "r1", "step": 0, **of})


def test_a_microscope_of_before_still_loads():
    stored = {"run": "r1", "step": 3, "draws": 9, "seed": 0, "sweep": None, "plugins": {}}
    assert Microscope.model_validate(stored).kind == "draws"
