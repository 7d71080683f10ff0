"""Observations as they grow, and what a measurement makes of them."""

import json
import math

import pytest
import torch
from torch import nn

from estimators import (
    SPSA,
    ActivityForwardGradient,
    Backprop,
    Estimate,
    ForwardGradient,
    GuidedES,
    Site,
    discover,
    measure,
    probe,
    stream,
)
from estimators.combine.mean_of_draws import MeanOfDraws
from estimators.conformance import cases
from estimators.control.exact_plus_noise import ExactPlusNoise
from estimators.core.contract import Law
from estimators.measurement.estimates.measures import METRICS
from estimators.measurement.estimates.observation import Observation, observe, point
from estimators.measurement.estimates.theory import law_of
from estimators.measurement.results.from_observations import measurement_of
from estimators.perturbation.gaussian_smoothing import GaussianSmoothing

CASES = cases()
CASE = CASES[0]
WATCHED = {"fg": (ForwardGradient(), None), "spsa": (SPSA(), None)}


def finished(estimator, count, case=CASE, seed=0, **more):
    state = estimator.init(case.chain, case.params, stream(0, "init", "state"))
    one = Observation("it", estimator, state, point(case.chain, case.params), seed=seed, **more)
    list(one.take(count))
    return one


def test_results_come_in_turns_and_early():
    seen = [(one.label, len(one)) for one in observe(CASE.chain, CASE.params, WATCHED, 50)]
    assert seen == [(l, n) for n in (8, 40, 50) for l in ("fg", "spsa")]


def test_it_can_be_stopped():
    seen = []
    running = observe(CASE.chain, CASE.params, WATCHED, 50, stop=lambda: len(seen) >= 2)
    seen += [running.__next__(), running.__next__()]
    assert list(running) == []


def test_a_finished_observation_measures_what_a_probe_does():
    whole = measurement_of(observe(CASE.chain, CASE.params, WATCHED, 40, seed=3))
    other = probe(CASE.chain, CASE.params, WATCHED, 40, seed=3)
    assert whole.layers == other.layers
    assert whole.exact_norm == pytest.approx(other.exact_norm)
    for label in WATCHED:
        for metric in set(METRICS) - {"relative_squared_bias_se"}:
            a, b = whole.values[label][metric], other.values[label][metric]
            assert a == pytest.approx(b, rel=1e-7, abs=1e-9), metric


def test_resampled_draws_are_others_and_merge():
    first, second = finished(ForwardGradient(), 300), finished(ForwardGradient(), 300, seed=1)
    assert not torch.equal(first.cosines(), second.cosines())
    first.merge(second)
    assert len(first) == 600
    assert all(v.biased is not None for v in first.verdicts())
    assert len(first.cloud()[0]) == 600


def test_what_histograms_and_clouds_are_drawn_from():
    one = finished(ForwardGradient(noise="normal"), 100)
    of = one.summary()
    i = one.at.layers.index("hidden1")
    assert torch.equal(one.cosines("hidden1"), of.cosines[:, i])
    assert torch.allclose(one.norm_ratios(), (of.squares[:, 0] / of.exact[0]).sqrt())
    x, _, share = one.cloud()
    assert torch.allclose(x, of.dots[:, 0] / of.exact[0])
    assert 0 < share < 1
    with pytest.raises(ValueError, match="keeps no sketch"):
        finished(ForwardGradient(), 2, sketched=False).cloud()


def lawful(estimator):
    state = estimator.init(CASE.chain, CASE.params, stream(0, "init", "state"))
    exact = point(CASE.chain, CASE.params).exact
    # To leading order in its step alone: 0.1 is long on networks as small as these.
    known = law_of(estimator, CASE.chain, CASE.params, state, exact) is not None
    return known and not isinstance(estimator, GuidedES)


LAWFUL = [
    GuidedES(sigma=1e-3),
    *(e for entry in discover().estimators.values() if lawful(e := entry.cls())),
    ForwardGradient(noise="normal", scale="projected"),
    ForwardGradient(noise="sphere", tangents=2, scale="shukla_shin"),
    ForwardGradient(noise="normal", tangents=5, combine="orthogonal"),
    ForwardGradient(noise="normal", tangents=5, combine="orthogonal", scale="projected"),
    ForwardGradient(per="example"),
    ActivityForwardGradient(noise="normal", tangents=2),
    GaussianSmoothing(difference="central", draws=2),
    MeanOfDraws(ActivityForwardGradient()),
    ExactPlusNoise(noise="size"),
    ExactPlusNoise(noise="shape"),
]


def on_each_case():
    """Every estimator on a network in turn; on the others at night."""
    for i, estimator in enumerate(LAWFUL):
        for k, case in enumerate(CASES):
            marks = () if i % len(CASES) == k else (pytest.mark.nightly,)
            yield pytest.param(case, estimator, id=f"{case.name}-{estimator}", marks=marks)


@pytest.mark.parametrize(("case", "estimator"), [*on_each_case()])
def test_laws_agree_with_draws_in_every_layer(case, estimator):
    one = finished(estimator, 192, case, sketched=False)
    checks = one.law_checks()
    assert set(checks) == {
        "relative_variance", "relative_squared_bias", "relative_mse", "scaled_error"
    }  # fmt: skip
    verdicts = {check.reason or check.verdict for row in checks.values() for check in row}
    silent = (one.summary().squares == 0).all(0).any()  # no ratio of what is always zero
    assert verdicts <= {"agrees", "no law"} | ({"no standard error"} if silent else set())
    assert "agrees" in verdicts


def test_a_wrong_law_is_seen():
    class Wrong(ForwardGradient):
        def law(self, objective, params, state, exact, /):
            right = law_of(ForwardGradient(), objective, params, state, exact)
            return Law({n: 2 * v for n, v in right.variance.items()})

    checks = finished(Wrong(), 192).law_checks()
    assert checks["relative_variance"][0].verdict == "disagrees"
    assert checks["relative_squared_bias"][0].verdict == "agrees"
    few = finished(ForwardGradient(), 20).law_checks()["relative_mse"]
    assert {check.words for check in few} == {"not judged (too few draws)"}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), Site(), nn.Tanh(), nn.Linear(4, 2))


BATCH = torch.randn(6, 3, generator=stream(0, "data")), torch.tensor([0, 1] * 3)


def test_measure_gives_intervals_laws_and_verdicts():
    found = measure(
        network(), nn.CrossEntropyLoss(), BATCH, [ForwardGradient(), SPSA(), Backprop()], draws=512
    )
    low, high = found.intervals["forward_gradient"]["cosine"][0]
    assert low < found.value("cosine", "forward_gradient") < high
    assert found.laws["backprop"]["relative_variance"][0] == 0
    assert not any(v.biased for v in found.verdicts["forward_gradient"])
    assert found.sources == dict.fromkeys(found.values, "honest")
    lines = str(found).splitlines()
    assert lines[2].endswith("bias")
    assert "by its law" in lines[5]
    assert found.law_checks["backprop"]["relative_variance"][0].verdict == "agrees"
    rows = json.loads(json.dumps(found.to_dict(), allow_nan=False))["rows"]
    row = next(r for r in rows if r["metric"] == "relative_variance" and r["estimator"])
    assert row["source"] == "honest"
    assert row["interval"][0] < row["value"] < row["interval"][1]
    assert row["law"] > 0


def test_few_draws_have_no_interval_and_no_verdict():
    found = measure(network(), nn.CrossEntropyLoss(), BATCH, [ForwardGradient()], draws=7)
    ends = found.intervals["forward_gradient"]
    assert all(one is None for metric in ends.values() for one in metric)
    assert found.verdicts == {}
    assert not str(found).splitlines()[1].endswith("bias")


def test_one_draw_is_said_to_have_no_variance():
    found = measure(network(), nn.CrossEntropyLoss(), BATCH, [ForwardGradient()], draws=1)
    assert "one draw has no variance" in str(found).splitlines()[0]
    assert math.isnan(found.value("relative_variance", "forward_gradient"))


def test_a_dead_layer_is_named_and_not_divided_by():
    net = network()
    net[3].weight.data.zero_()  # no gradient reaches the first layer
    found = measure(net, nn.CrossEntropyLoss(), BATCH, [ForwardGradient()], draws=512)
    assert "zero gradient in 0, 0.weight, 0.bias" in str(found).splitlines()[0]
    for metric in set(METRICS) - {"snr"}:
        assert math.isnan(found.value(metric, "forward_gradient", "0.weight")), metric
    verdict = found.verdicts["forward_gradient"][found.layers.index("0.weight")]
    assert verdict.biased is None
    assert "exact gradient is zero" in verdict.text


def test_draws_that_are_not_finite_are_counted_beside_the_figure():
    class Sometimes(ForwardGradient):
        def estimate(self, objective, params, state, rng, /):
            made = super().estimate(objective, params, state, rng)
            bad = torch.rand((), generator=rng) < 0.2
            grads = {n: g * math.inf if bad else g for n, g in made.grads.items()}
            return Estimate(grads, made.loss)

    found = measure(network(), nn.CrossEntropyLoss(), BATCH, [Sometimes()], draws=64)
    (count,) = found.nonfinite.values()
    assert 4 < count < 30
    assert f"{count} of" in str(found).splitlines()[0]
    assert math.isfinite(found.value("relative_variance", next(iter(found.values))))


def test_nothing_to_observe_is_refused():
    with pytest.raises(ValueError, match="at least 1 of each"):
        list(observe(CASE.chain, CASE.params, {}, 3))
    with pytest.raises(ValueError, match="at least one"):
        measurement_of([])
