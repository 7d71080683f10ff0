"""Whether the exact gradient is more than its rounding, and what a cosine is beside its null."""

import math
from collections import OrderedDict
from itertools import product

import pytest
import torch
from torch import nn

from estimators import (
    Backprop,
    DirectFeedbackAlignment,
    ForwardGradient,
    Objective,
    compare,
    measure,
    sweep,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.core.noise import stream
from estimators.core.replay import Generators, replaying
from estimators.measurement.draws import moments as moments_file
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.redrawn import redraws
from estimators.measurement.draws.reference import growth_of_stages, rounding_floor
from estimators.measurement.draws.sums import Accumulator
from estimators.measurement.estimates.measures import measures_of
from estimators.measurement.inputs.losses import chain_of
from estimators.measurement.probe import probe
from estimators.statistics.reference import (
    MARGIN,
    OF_THE_REFERENCE,
    growth_words,
    is_rounding,
    rounded_words,
)

RNG = stream(0, "data")
X = torch.randn(16, 8, generator=RNG)
Y = torch.arange(16) % 4
CE = nn.CrossEntropyLoss()


def net(*, scale=1.0, head=1.0, depth=2, width=8):
    torch.manual_seed(0)
    stages = OrderedDict(
        (f"h{i}", nn.Sequential(nn.Linear(width, width), nn.Tanh())) for i in range(depth)
    )
    stages["head"] = nn.Linear(width, 4)
    with torch.no_grad():
        for stage in [*stages.values()][:-1]:
            stage[0].weight *= scale
        stages["head"].weight *= head
    return nn.Sequential(stages)


def at(module):
    chain, _ = chain_of(module, CE, X.to(next(module.parameters()).dtype), Y)
    return chain, {n: p.detach() for n, p in module.named_parameters()}


def measured(module, draws=4):
    batch = (X.to(next(module.parameters()).dtype), Y)
    return measure(module, CE, batch, {"dfa": DirectFeedbackAlignment()}, draws=draws)


def test_the_floor_is_the_difference_from_the_gradient_in_double_precision():
    module, doubled = net(), net().double()
    for batch in ((X, Y), (3 * X[:5], Y[5:10])):
        chain, _ = chain_of(module, CE, *batch)
        params = {n: p.detach() for n, p in module.named_parameters()}
        exact = value_and_grad(chain, params)[1]
        twin, _ = chain_of(doubled, CE, batch[0].double(), batch[1])
        precise = value_and_grad(twin, {n: p.detach() for n, p in doubled.named_parameters()})[1]
        floors = rounding_floor(chain, params, exact)
        # Sums in another order, of the same numbers: 2⁻⁵³ of the gradient, seen against 2⁻²⁴ of it.
        for floor, name in zip(floors.tolist(), exact, strict=True):
            direct = (exact[name].double() - precise[name]).norm().item()
            assert floor == pytest.approx(direct, rel=1e-6)
            assert 1e-9 < floor / exact[name].norm() < 1e-5


def test_of_double_precision_it_is_that_of_single_precision_scaled_down():
    chain, params = at(net().double())
    floors = rounding_floor(chain, params, value_and_grad(chain, params)[1])
    single, theta = at(net())
    expected = rounding_floor(single, theta, value_and_grad(single, theta)[1]) * 2.0**-29
    assert torch.allclose(floors, expected, rtol=1e-6)


def test_a_healthy_network_has_no_layer_that_is_hatched():
    for dtype in (torch.float32, torch.float64):
        result = measured(net(depth=4).to(dtype))
        assert not any(map(result.is_rounding, result.layers))
        assert "▨" not in str(result.table("tensor"))


def test_a_gradient_that_underflows_is_hatched_and_said():
    result = measured(net(scale=1e-9, depth=6))
    assert result.exact_norm[result.place("h0")] == 0
    below = [layer for layer in result.layers if result.is_rounding(layer)]
    assert below == ["h0", "h0.0.weight", "h0.0.bias"]
    text = str(result)
    assert "below 10 times its own rounding error in h0 (underflow)" in text
    assert "zero gradient" not in text
    assert "▨: ‖g‖ is below 10 times" in text
    rows = {(r["metric"], r["layer"]): r for r in result.to_dict()["rows"] if r["estimator"]}
    assert rows["cosine", "h0"]["rounding"]
    for key in (("cosine", "head"), ("snr", "h0")):
        assert "rounding" not in rows[key]


def test_findings_laws_and_verdicts_are_silent_where_it_is_hatched():
    batch, estimators = (X, Y), {"forward": ForwardGradient(), "dfa": DirectFeedbackAlignment()}
    result = measure(net(scale=1e-25, depth=3), CE, batch, estimators, draws=512)
    i = result.place("h0.0.weight")
    for label in estimators:
        assert result.findings[label][i].cause == "reference"
        assert not result.points_uphill(label, "h0.0.weight")
    checks = result.law_checks["forward"]
    assert {check.words for checks in checks.values() for check in [checks[i]]} == {
        "not judged (the exact gradient is rounding)"
    }
    head = result.place("head.weight")
    assert result.findings["forward"][head].cause != "reference"
    assert checks["relative_variance"][head].verdict == "agrees"
    rows = str(result.table("tensor")).splitlines()[1:]
    row = next(line for line in rows if "h0.0.weight" in line)
    assert "– (the exact gradient is rounding)" in row


def test_a_comparison_leaves_batches_out_and_a_sweep_marks_values():
    module, layer = net(scale=1e-9, depth=6), "h0"
    estimators = {"dfa": DirectFeedbackAlignment(), "bp": Backprop()}
    compared = compare(module, CE, [(X, Y)] * 2, estimators, draws=2, layer=layer)
    assert all(math.isnan(value) for row in compared.values.values() for value in row)
    assert "the exact gradient is rounding at 2 of 2 batches" in str(compared)
    kept = compare(module, CE, [(X, Y)] * 2, estimators, draws=2, layer="head")
    assert not any(math.isnan(value) for row in kept.values.values() for value in row)
    assert "rounding" not in str(kept)
    swept = sweep(module, CE, (X, Y), estimators, "batch_size", [4, 16], draws=2)
    assert str(swept.table("h0")).count("▨") == 1 + 2 * 2 * 5
    assert "▨: ‖g‖ is below 10 times" in str(swept.table("h0"))
    assert "▨" not in str(swept.table("head"))


def test_a_gradient_that_is_zero_in_every_precision_is_dead_and_not_hatched():
    module = net()
    with torch.no_grad():
        module.head.weight.zero_()
    result = measured(module)
    i = result.place("h0")
    assert (result.exact_norm[i], result.exact_floor[i]) == (0, 0)
    assert not result.is_rounding("h0")
    assert "zero gradient in h0" in str(result)


def test_a_saturated_softmax_is_hatched():
    """p − 1 is a multiple of 2⁻²⁴ in single precision, and much smaller than that in truth."""
    module = net()
    with torch.no_grad():
        module.h1[0].weight.zero_()
        module.h1[0].bias.fill_(3.0)
        module.head.weight.zero_()
        module.head.bias.copy_(torch.tensor([19.0, 0.0, 0.0, 0.0]))
    chain, _ = chain_of(module, CE, X, torch.zeros(16, dtype=torch.long))
    params = {n: p.detach() for n, p in module.named_parameters()}
    result = probe(chain, params, {"bp": (Backprop(), None)}, draws=1)
    assert result.is_rounding("head")
    assert not probe(*at(net()), {"bp": (Backprop(), None)}, draws=1).is_rounding("head")


def test_where_it_cannot_be_computed_it_is_unknown_and_nothing_is_hatched():
    constant = torch.eye(8)

    class Fixed(nn.Module):
        def forward(self, h):
            return h @ constant

    module = nn.Sequential(*net().children(), nn.Linear(4, 8), Fixed(), nn.Linear(8, 4))
    chain, params = at(module)
    floors = rounding_floor(chain, params, value_and_grad(chain, params)[1])
    assert floors.isnan().all()
    result = measured(module)
    assert not any(map(result.is_rounding, result.layers))
    assert "reference/floor" not in {row.metric for row in result.rows()}
    chain, params = at(net())
    exact = value_and_grad(chain, params)[1]
    with replaying(Generators(torch.device("cpu"))):  # another precision has other noise
        assert rounding_floor(chain, params, exact).isnan().all()
    plain = Objective(lambda p: p["w"].square().sum())
    assert rounding_floor(plain, {"w": X}, {"w": 2 * X}).isnan().all()


@pytest.mark.parametrize(
    ("norm", "floor", "expected"),
    [
        (1.0, 0.099, False), (1.0, 0.101, True), (0.0, 0.0, False), (0.0, 1e-50, True),
        (1.0, math.nan, False), (math.nan, 1.0, False),
    ],
)  # fmt: skip
def test_a_gradient_is_rounding_below_ten_times_its_error(norm, floor, expected):
    assert is_rounding(norm, floor) is expected


def test_at_the_margin_no_cosine_is_off_by_more_than_a_tenth():
    """The worst error of length ‖g‖/10 is across g, towards or away from ĝ."""
    rng = stream(1, "data")
    for _ in range(200):
        g, h, e = torch.randn(3, 5, generator=rng, dtype=torch.float64)
        off = g + e * g.norm() / e.norm() / MARGIN
        cosines = [torch.cosine_similarity(h, t, dim=0) for t in (g, off)]
        assert abs(cosines[0] - cosines[1]) <= 1.01 / MARGIN


def test_all_measures_but_the_snr_compare_with_the_gradient():
    kept = set(measures_of(moments_of(torch.randn(3, 2, 2), torch.randn(2, 2)))) - {
        *OF_THE_REFERENCE
    }
    assert kept == {"snr"}


def test_sentences_name_few_layers():
    layers = [f"l{i}" for i in range(8)]
    assert rounded_words(layers, [1.0] * 8, [math.nan] * 8) == ""
    words = rounded_words(layers, [1.0] * 8, [1.0] * 7 + [0.0])
    assert words.startswith(
        "‖g‖ is below 10 times its own rounding error in l0, l1, l2, l3, l4 and"
    )
    assert "and 2 more" in words
    assert growth_words(layers, [49.0] * 8) == ""
    assert "l3 (60 times): " in growth_words(layers, [1.0] * 3 + [60.0] + [math.nan] * 4)


def test_the_growth_of_a_stage_is_that_of_the_root_mean_square():
    module = net(depth=3)
    module.h1 = nn.Linear(8, 16)
    module.h2 = nn.Linear(16, 8)
    with torch.no_grad():
        module.h1.weight *= 1000
    growth = growth_of_stages(*at(module))
    before = module.h0(X)
    expected = module.h1(before).square().mean().sqrt() / before.square().mean().sqrt()
    assert growth.keys() == {"h1", "h2"}  # of the data and of logits it says nothing
    assert growth["h1"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert "activations grow by more than 50 times in h1 (" in str(measured(module))
    assert "activations grow" not in str(measured(net(depth=3)))


def moments_of(draws, g):
    moments = Moments({"w": g.double()})
    moments.add({"w": draws.double()})
    return moments.summary(torch.ones(1, 1, dtype=torch.float64))


@pytest.mark.parametrize("entries", [2, 2**16])
@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 2), (4,), (), (4, 0)])
def test_the_null_is_the_spread_over_all_signs_of_units(shape, entries, monkeypatch):
    monkeypatch.setattr(moments_file, "CPU_ENTRIES", entries)  # pieces of a unit, or all at once
    rng = stream(2, "probe")
    g = torch.randn(shape, generator=rng, dtype=torch.float64)
    draws = torch.randn(5, *shape, generator=rng, dtype=torch.float64)
    units = shape[0] if shape else 1
    variances = []
    for draw in draws:
        rows, other = draw.reshape(units, -1), g.reshape(units, -1)
        dots = [
            (torch.tensor(signs, dtype=torch.float64) * (rows * other).sum(1)).sum()
            for signs in product((-1, 1), repeat=units)
        ]
        variances.append(torch.stack(dots).square().mean() / (rows.norm() * other.norm()) ** 2)
    expected = torch.stack(variances).mean().sqrt()
    slopes = [
        (torch.tensor(signs, dtype=torch.float64) * (draws.mean(0).reshape(units, -1) * other)
         .sum(1)).sum()
        for signs in product((-1, 1), repeat=units)
    ]  # fmt: skip
    square = torch.stack(slopes).square().mean() / g.square().sum()
    error = (1 - 1.645**2 * square / draws.reshape(5, -1).square().sum(1).mean()).clamp(min=0)
    other = torch.ones(2, dtype=torch.float64)  # a tensor beside it must not be mixed with it
    together = {"w": g, "b": other}
    moments, accumulator = Moments(together), Accumulator(together, 5)
    moments.add({"w": draws, "b": other.expand(5, 2)})
    taken = accumulator.take({"w": draw, "b": other} for draw in draws)
    groups = torch.eye(2, dtype=torch.float64)
    for summary in (moments.summary(groups), accumulator.unpack(taken).summary(groups)):
        measures = measures_of(summary)
        null = measures["cosine_null"]
        assert torch.allclose(null[0], expected, rtol=1e-12, equal_nan=True)
        assert null[1].item() == pytest.approx(0.5**0.5)
        assert torch.allclose(measures["scaled_error_null"][0], error, rtol=1e-12, equal_nan=True)


def test_the_null_of_a_random_direction_in_d_numbers_is_one_over_root_d():
    result = measure(net(), CE, (X, Y), {"it": ForwardGradient(tangents=2)}, draws=256, seed=1)
    for layer, size in (("", 180), ("h0.0.weight", 64), ("head.bias", 4)):
        assert result.value("cosine_null", "it", layer) == pytest.approx(size**-0.5, rel=0.06)


def test_the_null_of_feedback_is_the_spread_of_the_cosine_over_redrawn_feedback():
    """Not 1/√d: signals share the inputs with the gradient, so that fewer numbers are free."""
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 4))
    chain, params = at(module)
    exact, estimator = value_and_grad(chain, params)[1], DirectFeedbackAlignment()
    place = [*exact].index("0.weight")
    rows = torch.stack([*redraws(chain, params, estimator, exact, 200)])[..., place]
    spread = (rows[:, 0] / rows[:, 1].sqrt() / exact["0.weight"].norm()).std().item()
    nulls = []
    for seed in range(20):
        state = estimator.init(chain, params, stream(seed, "estimator"))
        result = probe(chain, params, {"it": (estimator, state)}, draws=1, seed=seed)
        nulls.append(result.value("cosine_null", "it", "0.weight"))
    assert torch.tensor(nulls).square().mean().sqrt().item() == pytest.approx(spread, rel=0.2)
    assert spread > 1.3 * exact["0.weight"].numel() ** -0.5
