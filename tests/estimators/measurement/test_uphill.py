"""An estimate that points uphill says so wherever its squared measures cannot."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from estimators import Backprop, Claim, Cost, Estimate, Estimator, Law, Site, measure, what_if
from estimators.autodiff.calculus import value_and_grad
from estimators.measurement.draws.summary import Summary
from estimators.measurement.estimates.measures import measures_of
from estimators.measurement.inputs.subject import subject
from estimators.measurement.probe import probe
from estimators.statistics.direction import points_uphill, probes_point_uphill


@dataclass(frozen=True)
class Turned(Estimator):
    """a·g and noise."""

    a: float = -1.0
    noise: float = 0.0
    promised: Claim = Claim.BIASED

    def claim(self, objective):
        return self.promised

    def needs(self):
        return ()

    def cost(self, objective):
        return Cost(forwards=1, vjps=1)

    def estimate(self, objective, params, state, rng, /):
        loss, exact = value_and_grad(objective, params)
        return Estimate({n: self.a * g + self.noise * g.norm() * torch.randn(
            g.shape, generator=rng, dtype=g.dtype) for n, g in exact.items()}, loss)  # fmt: skip

    def law(self, objective, params, state, exact, /):
        sizes = {n: self.noise**2 * g.numel() * g.square().sum().item() for n, g in exact.items()}
        return Law(sizes, mean={n: self.a * g for n, g in exact.items()})


def problem():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), Site(), nn.Tanh(), nn.Linear(6, 3)).double()
    return net, nn.CrossEntropyLoss(), (torch.randn(8, 4).double(), torch.randint(3, (8,)))


@pytest.mark.parametrize("promised", Claim)
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_negative_of_the_gradient_is_no_estimate_of_it(promised, noise):
    found = measure(*problem(), {"it": Turned(-1.0, noise, promised)}, draws=256)
    for i, layer in enumerate(found.layers):
        assert found.value("scaled_error", "it", layer) == 1
        assert found.laws["it"]["scaled_error"][i] == 1
        assert found.law_checks["it"]["scaled_error"][i].verdict == "agrees"
        low, high = found.intervals["it"]["scaled_error"][i]
        assert (low, high) == (1, 1)
        assert found.points_uphill("it", layer)
        assert found.findings["it"][i].cause == "direction"
        assert found.findings["it"][i].text.startswith("it points uphill")
        assert found.findings["it"][i].draws is None
    assert "it points uphill" in str(found)
    assert "it points uphill" in str(found.why())


def test_a_live_probe_says_the_same():
    of = subject(*problem(), {"it": Turned(-0.5, 0.01), "good": Backprop()}, 0)
    found = probe(of.chain, of.params, of.watched, draws=16, laws=True)
    assert found.value("scaled_error", "it") == 1
    assert found.laws["it"]["scaled_error"][0] == 1
    assert found.value("along", "it") == pytest.approx(-0.5, abs=0.05)
    assert found.points_uphill("it")
    assert not found.points_uphill("good")
    assert found.value("along", "good") == 1


def test_a_step_uphill_has_no_best_rate_and_no_decrease():
    found = what_if(*problem(), {"it": Turned(-1.0, 0.01), "good": Backprop()}, draws=16)
    assert found["it"].best_rate is None
    assert found["it"].expected_decrease == 0
    assert found["it"].decrease_interval is None
    assert "points uphill" in found["it"].text
    assert found["good"].expected_decrease > 0


def summary(slopes):
    """K draws of one number, with g = 1."""
    x = torch.tensor(slopes, dtype=torch.float64).view(-1, 1)
    k, mean = len(x), x.mean(0)
    trace = x.var(0)
    return Summary(x, x.square(), (x - 1).square(), torch.ones(1).double(), mean, mean.square(),
                   (mean - 1).square(), trace, trace / k, torch.zeros(1).double(),
                   x.square())  # fmt: skip


def test_the_scaled_error_of_a_mean_that_points_uphill_is_one():
    """At c ≥ 0 nothing is better than c = 0, whose error is ‖g‖²."""
    for slopes in ([-1.0, -2.0, -3.0], [-1.0, 0.5, 0.25], [0.0, 0.0, 0.0]):
        assert measures_of(summary(slopes))["scaled_error"].item() == 1
    down = measures_of(summary([1.0, 2.0, 3.0]))["scaled_error"].item()
    assert down == pytest.approx(1 - (4 - 1 / 3) / (14 / 3))


def test_noise_alone_does_not_point_uphill():
    assert points_uphill(-1.0, 0.0, 15)
    assert points_uphill(-1.0, 0.1, 400)
    assert not points_uphill(-1.0, 0.3, 400)
    assert not points_uphill(-1.0, 0.1, 3)  # a standard error of four draws is little known
    assert not points_uphill(0.0, 0.0, 15)
    assert not points_uphill(math.nan, 0.1, 15)
    assert not points_uphill(-1.0, math.nan, 15)
    assert not points_uphill(-1.0, 0.0, 0)
    # Eight probes of 16 draws, each 2 standard errors below 0: 5.7 together.
    assert probes_point_uphill([-1.0] * 8, [0.5] * 8, 16)
    assert not probes_point_uphill([-1.0] * 2, [0.5] * 2, 16)
    assert probes_point_uphill([-1.0, math.nan], [0.01, math.nan], 16)
    assert not probes_point_uphill([math.nan], [math.nan], 16)
