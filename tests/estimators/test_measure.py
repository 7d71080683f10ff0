"""Probes and their statistics."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from estimators import (
    Backprop,
    Claim,
    Cost,
    Estimate,
    Estimator,
    ForwardGradient,
    Objective,
    measure,
    probe,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.core.noise import stream
from estimators.measurement.draws import sums
from estimators.measurement.estimates.measures import METRICS

CASE = cases()[0]
LAYERS = (
    "",
    "hidden1",
    "hidden2",
    "output",
    *(
        f"{name}.{kind}"
        for name in ("hidden1.0", "hidden2.0", "output")
        for kind in ("weight", "bias")
    ),
)


@dataclass(frozen=True)
class Scripted(Estimator):
    """Gives the gradients of a list, one after another."""

    def claim(self, objective, /):
        return Claim.BIASED

    def cost(self, objective, /):
        return Cost(forwards=1)

    def estimate(self, objective, params, state, rng, /):
        return Estimate({"w": next(state)}, objective(params))


def scripted(draws, g):
    """A probe of the given draws, with the exact gradient g."""
    g = torch.as_tensor(g, dtype=torch.float64)
    objective = Objective(lambda p: p["w"] @ g)
    state = iter([torch.as_tensor(d, dtype=torch.float64) for d in draws])
    params = {"w": torch.zeros_like(g)}
    found = probe(objective, params, {"it": (Scripted(), state)}, len(draws))
    return {m: found.value(m, "it") for m in METRICS}, found


def test_every_measure_against_its_definition():
    rng = stream(0, "probe")
    g = torch.randn(7, generator=rng, dtype=torch.float64)
    draws = 0.7 * g + torch.randn(9, 7, generator=rng, dtype=torch.float64)
    k, mean, g2 = len(draws), draws.mean(0), g @ g
    trace = (draws - mean).square().sum() / (k - 1)
    cosines = torch.cosine_similarity(draws, g, dim=1)
    dots = draws @ g
    expected = {
        "cosine": cosines.mean(),
        "cosine_sd": cosines.std(),
        "cosine_mean": torch.cosine_similarity(mean, g, dim=0),
        "cosine_null": ((draws * g).square().sum(1) / draws.square().sum(1) / g2).mean().sqrt(),
        "scaled_error": 1
        - (dots.mean() ** 2 - dots.var() / k) / (g2 * draws.square().sum(1).mean()),
        "scaled_error_null": 1
        - 1.645**2 * (mean * g).square().sum() / (g2 * draws.square().sum(1).mean()),
        "relative_variance": trace / g2,
        "relative_squared_bias": ((mean - g).square().sum() - trace / k) / g2,
        "relative_mse": (draws - g).square().sum(1).mean() / g2,
        "snr": (mean.square().sum() - trace / k) / trace,
        "norm_ratio": draws.norm(dim=1).mean() / g.norm(),
        "positive": (dots > 0).double().mean(),
        "along": dots.mean() / g2,
        "along_se": dots.std() / k**0.5 / g2,
    }
    found, _ = scripted(draws, g)
    assert found.keys() == expected.keys() | {"relative_squared_bias_se"}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value.item(), rel=1e-9), name


def test_mean_squared_error_is_variance_and_squared_bias():
    found = probe(CASE.chain, CASE.params, {"fg": (ForwardGradient(), None)}, 16)
    for layer in found.layers:
        mse, variance, bias = (
            found.value(m, "fg", layer)
            for m in ("relative_mse", "relative_variance", "relative_squared_bias")
        )
        # (K − 1)/K of tr S is the scatter about ḡ; the bias is corrected by tr S / K.
        assert mse == pytest.approx(variance + bias, rel=1e-9)


def test_the_standard_error_of_the_bias_holds():
    """Over many probes of a biased, scattered estimator, 5 % of draws each."""
    rng = stream(1, "probe")
    g = torch.ones(6, dtype=torch.float64)
    values, errors = [], []
    for _ in range(200):
        draws = 1.3 * g + torch.randn(16, 6, generator=rng, dtype=torch.float64)
        found, _ = scripted(draws, g)
        values.append(found["relative_squared_bias"])
        errors.append(found["relative_squared_bias_se"])
    spread = torch.tensor(values).std().item()
    assert torch.tensor(values).mean().item() == pytest.approx(0.09, abs=5 * spread / 200**0.5)
    assert (sum(e * e for e in errors) / 200) ** 0.5 == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("limit", [1, 70, 200, 10**6])
def test_streaming_in_small_memory_changes_nothing(monkeypatch, limit):
    watched = {"fg": (ForwardGradient(), None)}
    whole = probe(CASE.chain, CASE.params, watched, 67)
    monkeypatch.setattr(sums, "ELEMENTS", limit)
    monkeypatch.setattr(sums, "BLOCKS", 20)
    parts = probe(CASE.chain, CASE.params, watched, 67)
    for metric in set(METRICS) - {"relative_squared_bias_se"}:
        for a, b in zip(whole.values["fg"][metric], parts.values["fg"][metric], strict=True):
            assert a == pytest.approx(b, rel=1e-8), metric
    for a, b in zip(
        *(p.values["fg"]["relative_squared_bias_se"] for p in (whole, parts)), strict=True
    ):
        assert 0.05 < a / b < 20  # fewer blocks: the same quantity, less well known


def test_layers_are_network_stages_and_tensors():
    found = probe(CASE.chain, CASE.params, {"bp": (Backprop(), None)}, 2)
    assert found.layers == LAYERS
    of_the_gradient = 2 * len(LAYERS) + 1  # norm and rounding; the growth of the middle stage
    assert len(list(found.rows())) == len(LAYERS) * len(METRICS) + of_the_gradient
    first = next(iter(found.rows()))
    assert first[:3] == ("exact/norm", "", "")
    exact = value_and_grad(CASE.chain, CASE.params)[1]
    norms = dict(zip(found.layers, found.exact_norm, strict=True))
    assert norms[""] == pytest.approx(sum(g.square().sum().item() for g in exact.values()) ** 0.5)
    weight, bias = exact["output.weight"], exact["output.bias"]
    assert norms["output"] == pytest.approx((weight.norm() ** 2 + bias.norm() ** 2).item() ** 0.5)


def test_a_single_unnamed_stage_is_not_a_layer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x)

    found = measure(
        Net(), nn.CrossEntropyLoss(), (torch.ones(1, 2), torch.tensor([0])), [Backprop()]
    )
    assert found.layers == ("", "linear.weight", "linear.bias")


def test_backprop_is_perfect():
    found = probe(CASE.chain, CASE.params, {"bp": (Backprop(), None)}, 4)
    for layer in found.layers:
        assert found.value("cosine", "bp", layer) == pytest.approx(1)
        assert found.value("relative_variance", "bp", layer) == 0
        assert found.value("snr", "bp", layer) == math.inf
        for metric in ("scaled_error", "relative_squared_bias", "relative_mse"):
            assert found.value(metric, "bp", layer) == pytest.approx(0, abs=1e-12)


def test_one_draw_has_no_variance():
    found, _ = scripted([[1.0, 2.0]], [1.0, 1.0])
    undefined = {
        "cosine_sd", "scaled_error", "relative_variance", "relative_squared_bias",
        "relative_squared_bias_se", "snr", "along_se",
    }  # fmt: skip
    assert {name for name, x in found.items() if math.isnan(x)} == undefined
    assert found["positive"] == 1


def test_two_draws_have_no_standard_error():
    found, _ = scripted([[1.0, 2.0], [2.0, 1.0]], [1.0, 1.0])
    assert {n for n, x in found.items() if math.isnan(x)} == {"relative_squared_bias_se"}


def test_a_zero_gradient_has_no_direction():
    found, _ = scripted([[1.0, 2.0], [2.0, 1.0], [0.0, 1.0]], [0.0, 0.0])
    assert {name for name, x in found.items() if not math.isnan(x)} == {"snr"}


def test_an_estimate_of_zero_points_nowhere():
    found, _ = scripted([[0.0, 0.0]] * 3, [1.0, 1.0])
    assert found["cosine"] == found["cosine_mean"] == found["norm_ratio"] == found["positive"] == 0
    assert found["scaled_error"] == found["relative_squared_bias"] == found["relative_mse"] == 1


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_draws_that_are_not_finite_are_counted(bad):
    draws = [[1.0, 2.0], [bad, 1.0], [0.0, 1.0], [3.0, 1.0]]
    found, measurement = scripted(draws, [1.0, 1.0])
    assert found == pytest.approx(scripted([draws[0], *draws[2:]], [1.0, 1.0])[0], nan_ok=True)
    assert measurement.nonfinite == {"it": 1}
    assert "it: 1 of 4 draws (25 %) were not finite" in str(measurement)


@pytest.mark.parametrize("limit", [1, 10**6])
def test_draws_that_are_not_finite_are_left_out_of_sums_of_blocks(monkeypatch, limit):
    monkeypatch.setattr(sums, "ELEMENTS", limit)
    rng = stream(0, "probe")
    draws = torch.randn(70, 3, generator=rng, dtype=torch.float64)
    draws[5, 1], draws[66, 0] = math.inf, math.nan
    found, measurement = scripted(draws, [1.0, 1.0, 0.0])
    clean, _ = scripted(draws[draws.isfinite().all(1)], [1.0, 1.0, 0.0])
    assert measurement.nonfinite == {"it": 2}
    for metric in set(METRICS) - {"relative_squared_bias_se"}:  # its blocks are others
        assert found[metric] == pytest.approx(clean[metric], rel=1e-9), metric
    assert 0.05 < found["relative_squared_bias_se"] / clean["relative_squared_bias_se"] < 20


def test_no_finite_draw_is_no_measure():
    found, measurement = scripted([[math.inf, 1.0]] * 3, [1.0, 1.0])
    assert all(math.isnan(x) for x in found.values())
    assert measurement.nonfinite == {"it": 3}


def test_probes_are_repeatable_and_differ_by_step_seed_and_label():
    def cosine(seed=0, step=0, label="a"):
        watched = {label: (ForwardGradient(), None)}
        return probe(CASE.chain, CASE.params, watched, 3, seed, step).value("cosine", label)

    assert cosine() == cosine()
    assert len({cosine(), cosine(seed=1), cosine(step=1), cosine(label="b")}) == 4


def test_a_probe_disturbs_nothing():
    before = torch.get_rng_state()
    params = {n: p.clone() for n, p in CASE.params.items()}
    probe(CASE.chain, CASE.params, {"fg": (ForwardGradient(), None)}, 3)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(params[n], p) for n, p in CASE.params.items())


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        probe(CASE.chain, CASE.params, {"bp": (Backprop(), None)}, 0)


def test_html_is_escaped():
    _, measurement = scripted([[1.0], [2.0]], [1.0])
    evil = type(measurement)(
        **{
            **vars(measurement),
            "values": {"<script>": {"cosine": (1.0, 1.0)}},
            "nonfinite": {"<b>": 1},
        }
    )
    html = evil._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_one_tensor_that_is_not_finite_spoils_its_own_groups_alone(bad):
    def spoilt(objective, params, state, rng):
        estimate = ForwardGradient().estimate(objective, params, state, rng)
        last = list(estimate.grads)[-1]
        return estimate._replace(grads={**estimate.grads, last: estimate.grads[last] * bad})

    watched = {"it": (SimpleNamespace(estimate=spoilt, difference_step=lambda params: None), None)}
    found = probe(CASE.chain, CASE.params, watched, 4)
    first, *_, last = CASE.params
    stage = CASE.chain.stage_of
    assert all(math.isnan(found.value("cosine", "it", l)) for l in ("", last, stage(last)))
    assert all(math.isfinite(found.value("cosine", "it", l)) for l in (first, stage(first)))
