"""Probes: when they fire, and that they disturb nothing."""

from types import SimpleNamespace

import pytest
import torch

from backend.training import clock, loop, probes
from backend.training.checkpoints import format
from backend.training.checkpoints.files import path_of
from backend.training.loop import train
from backend.training.probe_schedule import FIRST_HORIZON, OpenEndedSchedule, ProbeSchedule
from backend.training.records import Points

SHADOWS = [{"name": "forward_gradient"}, {"name": "direct_feedback_alignment"}]
DRIVER = {"name": "forward_gradient", "tangents": 2}


def weights(folder, steps=40):
    return format.read(path_of(folder, steps))["trainer"]["module"]


@pytest.mark.parametrize("probe", [{"every": 3, "draws": 4}, {"budget": 1.0, "draws": 2}])
def test_a_probed_and_an_unprobed_run_end_with_the_same_bits(probe, config, gather, tmp_path):
    for name, changes in {"with": {"probe": probe, "shadows": SHADOWS}, "without": {}}.items():
        run = config(estimator=DRIVER, optimizer={"name": "sgd", "lr": 1e-3}, **changes)
        assert gather(train(run, checkpoint_dir=tmp_path / name)).ended.status == "finished"
    probed, bare = weights(tmp_path / "with"), weights(tmp_path / "without")
    assert probed.keys() == bare.keys()
    assert all(torch.equal(probed[n], bare[n]) for n in bare)


def test_every_sets_the_steps(config, gather):
    run = gather(train(config(probe={"every": 7}, shadows=SHADOWS)))
    for label in ("backprop", "forward_gradient", "direct_feedback_alignment"):
        assert list(run.of("cosine", "hidden1.linear.weight", label)) == list(range(0, 40, 7))
    assert set(run.of("probe/stride").values()) == {7}
    assert all(v == pytest.approx(1) for v in run.of("cosine", "", "backprop").values())


def test_a_shadow_sees_the_drivers_weights_and_batch(config, gather):
    run = gather(train(config(probe={"every": 8}, shadows=[{"name": "backprop"}])))
    assert run.of("exact/norm").keys() == run.of("norm_ratio", "", "backprop #2").keys()
    assert all(v == pytest.approx(1) for v in run.of("norm_ratio", "", "backprop #2").values())


def test_a_shadows_state_advances_once_a_step(config, gather, plugins, tmp_path):
    folder = tmp_path / "checkpoints"
    run = config(shadows=[{"name": "drifting"}], probe={"every": 4})
    gather(train(run, checkpoint_dir=folder, plugin_dirs=plugins))
    states = format.read(path_of(folder, 40))["trainer"]["estimators"]
    assert states["drifting"]["count"] == 40


def test_no_budget_no_probe(config, gather):
    run = gather(train(config(probe={"budget": 0}, shadows=SHADOWS)))
    assert not any(metric == "cosine" for metric, _, _ in run.points)


def test_the_stride_is_recorded_and_only_grows(config, gather):
    run = gather(train(config(steps=400, probe={"budget": 0.2, "draws": 2})))
    strides = list(run.of("probe/stride").values())
    assert next(iter(run.of("cosine", "", "backprop"))) == 0
    assert strides == sorted(strides)
    assert all(s == 2 ** round(torch.tensor(s).log2().item()) for s in strides)


def test_telling_of_a_probe_is_the_probes_time(config, monkeypatch, tmp_path):
    now = [0.0]

    def perf_counter():
        now[0] += 1e-6
        return now[0]

    for module in (clock, loop, probes):
        monkeypatch.setattr(module, "perf_counter", perf_counter)
    shares = []
    for record in train(config(probe={"every": 10, "draws": 2}), checkpoint_dir=tmp_path):
        if isinstance(record, Points) and record.metric == "probe/stride":
            now[0] += 5.0  # whoever hears of it is slow
        if isinstance(record, Points) and record.metric == "probe/share":
            shares += list(record.values)
    assert len(shares) == 4
    assert shares[1:] == pytest.approx([1, 1, 1], abs=1e-3)
    assert format.read(path_of(tmp_path, 40))["stride"]["times"] == pytest.approx([5] * 4, 0.1)


def simulate(steps, step_seconds, probe_seconds, budget, slow_start=0.0):
    """A run whose steps and probes take what is said; the steps probed, and their share."""
    stride, training, probes, fired = ProbeSchedule(steps, budget), 0.0, 0.0, []
    strides = []
    for step in range(steps):
        if stride.due(step, training, probes):
            fired.append(step)
            probes += probe_seconds
            stride.fired(probe_seconds)
            strides.append(stride.stride)
        training += step_seconds + (slow_start if step == 0 else 0)
    return SimpleNamespace(fired=fired, strides=strides, added=probes / training)


@pytest.mark.parametrize("budget", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("slow_start", [0.0, 1.0])
@pytest.mark.parametrize(("step", "probe"), [(0.0003, 0.05), (0.004, 0.02), (0.1, 0.05)])
@pytest.mark.parametrize("steps", [2_000, 50_000])
def test_what_probes_add_stays_within_the_budget(steps, step, probe, slow_start, budget):
    run = simulate(steps, step, probe, budget, slow_start)
    alone = probe / (steps * step + slow_start)
    assert run.fired[0] == 0
    assert run.added <= max(budget, alone) + 1e-9
    if alone < budget / 10:
        assert run.added >= budget / 4, "the budget is there to be used"
    assert all(s & (s - 1) == 0 for s in run.strides)
    assert run.strides == sorted(run.strides)


@pytest.mark.parametrize(("step", "probe", "cold"), [(0.02, 0.1, 0.1), (0.004, 0.3, 0.2)])
def test_a_loop_of_unknown_length_may_end_at_any_time_within_the_budget(step, probe, cold):
    stride, probes, fired = OpenEndedSchedule(0, 0.1), 0.0, []
    for at in range(20_000):
        if stride.due(at, at * step, probes):
            fired.append(at)
            probes += probe + (0 if at else cold)
            stride.fired(probe, 0 if at else cold)
        first = probe + cold
        assert probes <= max(first, 0.1 * max(FIRST_HORIZON, at) * step) + 1e-9
    assert probes >= 0.05 * 20_000 * step, "the budget is there to be used"


def test_early_probes_are_log_spaced():
    run = simulate(50_000, 0.001, 0.02, 0.1)
    assert run.fired[:6] == [0, 2, 4, 8, 16, 32]
    gaps = {b - a for a, b in zip(run.fired[12:], run.fired[13:], strict=False)}
    assert len(gaps) <= 2


def test_a_probe_that_never_fits_is_taken_once():
    assert simulate(1000, 0.0001, 5.0, 0.1).fired == [0]


def test_first_calls_that_load_and_compile_do_not_leave_a_run_without_probes():
    stride, fired, probes = ProbeSchedule(3000, 0.25), [], 0.0
    for step in range(3000):
        if stride.due(step, step * 0.001, probes):
            fired.append(step)
            cold = 0.0 if step else 2.0
            probes += 0.03 + cold
            stride.fired(0.03, cold)
    assert len(fired) > 8, "half of the allowance of 0.75 s is theirs"
    assert probes - 2.0 <= 0.5 * 0.25 * 3


def test_what_the_first_probe_took_besides_is_told_apart(config, gather, monkeypatch):
    told, fired = [], ProbeSchedule.fired

    def noted(self, seconds, cold=0.0):
        told.append(cold)
        fired(self, seconds, cold)

    monkeypatch.setattr(ProbeSchedule, "fired", noted)
    gather(train(config(probe={"every": 8})))
    assert told[0] > 0
    assert len(told) > 1
    assert set(told[1:]) == {0.0}


def test_the_stride_goes_on_where_it_stood():
    stride = ProbeSchedule(1000, 0.1)
    stride.fired(0.1, cold=0.2)
    stride.m, stride.paces = 5, [0.001]
    other = ProbeSchedule(1000, 0.1)
    other.load(stride.state())
    assert other == stride


def test_the_law_is_told_beside_what_was_measured_where_one_is_known(config, gather):
    clipped = {"name": "clip_norm", "inner": {"name": "forward_gradient"}}
    shadows = [*SHADOWS, clipped]
    run = gather(train(config(probe={"every": 8, "draws": 64}, shadows=shadows)))
    for layer in ("", "hidden1", "head.linear.weight"):
        law = run.of("law/relative_variance", layer, "forward_gradient")
        measured = run.of("relative_variance", layer, "forward_gradient")
        assert law.keys() == measured.keys()
        ratios = [measured[s] / law[s] for s in law]
        assert sum(ratios) / len(ratios) == pytest.approx(1, abs=0.3)
    for label in ("backprop", "direct_feedback_alignment"):
        assert set(run.of("law/relative_variance", "", label).values()) == {0.0}
    lawless = {label for metric, _, label in run.points if metric == "relative_variance"} - {
        label for metric, _, label in run.points if metric == "law/relative_variance"
    }
    assert [label.partition("(")[0] for label in lawless] == ["clip_norm"]
