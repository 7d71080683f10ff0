"""The change of the loss when only the layers up to a stage are updated."""

import math
from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import Backprop, ForwardGradient, Objective, what_if
from estimators.autodiff.calculus import value_and_grad
from estimators.core.noise import stream
from estimators.measurement.draws.one_step import (
    MAX_DEPTHS,
    OneStepDraws,
    depths_of,
    starting_point,
)
from estimators.measurement.estimates.one_step import WhatIf
from estimators.measurement.inputs.losses import chain_of

RNG = stream(0, "data")
X = torch.randn(16, 5, generator=RNG, dtype=torch.float64)
Y = torch.arange(16) % 3
CE = nn.CrossEntropyLoss()
STAGES = ["a", "b", "head"]


def net():
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(5, 5), nn.Tanh()) for _ in range(2)]
    return nn.Sequential(OrderedDict(zip(STAGES, [*layers, nn.Linear(5, 3)], strict=True))).double()


def taken(estimator, rate, draws=3):
    chain, _ = chain_of(net(), CE, X, Y)
    params = {n: p.detach() for n, p in chain.module.named_parameters()}
    start = starting_point(chain, params)
    steps = OneStepDraws(start, estimator, None, draws, (0.1,), label="it", depth_rate=rate)
    list(steps.take())
    return steps, chain, params


def test_each_depth_is_a_step_of_its_tensors_and_those_before():
    steps, chain, params = taken(ForwardGradient(), 0.3)
    assert all(torch.equal(p, params[n]) for n, p in net().named_parameters())  # put back
    rng = stream(0, "probe", 0, "it")
    before = chain(params)
    draws = [ForwardGradient().estimate(chain, params, None, rng).grads for _ in range(3)]
    for row, draw in zip(steps.by_depth, draws, strict=True):
        for i, change in enumerate(row.tolist()):
            moved = {
                n: p - 0.3 * draw[n] if n.partition(".")[0] in STAGES[: i + 1] else p
                for n, p in params.items()
            }
            # Two losses of about 1, rounded at 2⁻⁵³, by batched or single draws.
            assert change == pytest.approx((chain(moved) - before).item(), abs=1e-13)
    assert list(steps.depths) == STAGES


def test_the_last_depth_is_a_whole_step():
    steps = taken(ForwardGradient(), 0.1)[0]
    assert torch.allclose(steps.by_depth[:, -1], steps.changes[:, 0], atol=1e-15)


def test_of_the_exact_gradient_each_stage_adds_its_squared_norm_to_first_order():
    rate = 1e-5
    steps, chain, params = taken(Backprop(), rate, draws=1)
    g = value_and_grad(chain, params)[1]
    utility = WhatIf.from_draws(steps).utility
    sums = [
        sum(t.square().sum().item() for n, t in g.items() if n.partition(".")[0] in STAGES[: i + 1])
        for i in range(3)
    ]
    # The second order is rate²/2 gᵀHg, a share of about the rate.
    assert [*utility.values()] == pytest.approx([-rate * s for s in sums], rel=1e-3)
    assert [*utility.values()] == sorted(utility.values(), reverse=True)


def test_what_if_has_the_table_at_the_rate_that_is_asked_for():
    result = what_if(net(), CE, (X, Y), {"bp": Backprop()}, draws=2, depth_rate=0.05)
    assert result["bp"].depth_rate == 0.05
    text = str(result.depth_table())
    assert "at η = 0.05" in text
    assert [line.split()[0] for line in text.splitlines()[-4:-1]] == STAGES
    chosen = what_if(net(), CE, (X, Y), {"bp": Backprop()}, draws=2)["bp"]
    assert chosen.depth_rate in chosen.rates
    with pytest.raises(ValueError, match="learning rate is -1"):
        what_if(net(), CE, (X, Y), {"bp": Backprop()}, draws=2, depth_rate=-1)


def test_draws_and_losses_that_are_not_finite():
    rows = torch.tensor([[-1.0, -2.0], [math.nan, math.nan], [-3.0, math.inf]])
    nothing = torch.zeros(3)
    result = WhatIf(
        1.0, (0.1,), torch.zeros(3, 1), nothing, nothing, "it", ("a", "b"), rows.double(), 0.1
    )
    assert result.utility["a"] == -2
    assert math.isnan(result.utility["b"])


def test_of_many_stages_some_are_chosen_and_the_last_is_among_them():
    names = [f"s{i}.w" for i in range(50)]
    depths = depths_of(Objective(lambda _: X.sum()), names)
    assert len(depths) <= MAX_DEPTHS
    assert [*depths][-1] == "s49"
    for stage, tensors in depths.items():
        assert tensors == names[: int(stage[1:]) + 1]
