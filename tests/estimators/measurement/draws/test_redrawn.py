"""The null by redrawing feedback: independent of the draws, of what was learnt, of the gradient."""

from dataclasses import dataclass, field
from math import sqrt

import pytest
import torch
from torch import nn

from estimators import (
    Backprop,
    DirectFeedbackAlignment,
    Estimate,
    Estimator,
    ForwardGradient,
    Momentum,
    measure,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import Claim, Cost
from estimators.core.noise import stream
from estimators.measurement.draws.redrawn import null_of_redraws, redraws
from estimators.measurement.draws.summary import layer_groups
from estimators.measurement.estimates.observation import Observation, observe, point
from estimators.measurement.inputs.losses import chain_of
from estimators.statistics.reference import REDRAWS, error_null
from estimators.statistics.student import t_of_normal

RNG = stream(0, "data")
X = torch.randn(16, 6, generator=RNG, dtype=torch.float64)
Y = torch.arange(16) % 4
CE = nn.CrossEntropyLoss()
HIDDEN, HEAD = "0.0.weight", "1.weight"


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Linear(6, 24), nn.Tanh()), nn.Linear(24, 4)).double()


def at(y=Y):
    chain, _ = chain_of(net(), CE, X, y)
    return chain, {n: p.detach() for n, p in chain.module.named_parameters()}


@dataclass(frozen=True)
class Recorded(Estimator):
    """A sum of two directions: that of the state and that of the noise; remembers both."""

    seen: list = field(default_factory=list)

    def claim(self, objective):
        return Claim.BIASED

    def needs(self):
        return ()

    def cost(self, objective):
        return Cost(forwards=1)

    def init(self, objective, params, rng):
        return {n: torch.randn(p.shape, generator=rng, dtype=p.dtype) for n, p in params.items()}

    def estimate(self, objective, params, state, rng):
        noise = self.init(objective, params, rng)
        self.seen.append((state[HIDDEN].clone(), noise[HIDDEN].clone()))
        return Estimate({n: state[n] + noise[n] for n in params}, objective(params), state)


def seen(chain, params, count=8, **given):
    estimator, exact = Recorded(), value_and_grad(chain, params)[1]
    assert len([*redraws(chain, params, estimator, exact, count, label="it", **given)]) == count
    return estimator.seen


def test_every_redraw_has_feedback_and_noise_of_its_own():
    chain, params = at()
    made = [tensor for pair in seen(chain, params) for tensor in pair]
    assert len({tuple(t.flatten().tolist()) for t in made}) == len(made)
    # None is that of the draws, whatever state they begin with.
    estimator = Recorded()
    state = estimator.init(chain, params, stream(0, "estimator", "init", "it"))
    [*observe(chain, params, {"it": (estimator, state)}, 8)]
    drawn = [noise for _, noise in estimator.seen]
    assert not any(torch.equal(t, other) for t in made for other in [state[HIDDEN], *drawn])


def test_the_redraws_do_not_depend_on_the_gradient():
    """Of other targets, the gradient is another; feedback and noise are the same."""
    pairs = zip(seen(*at()), seen(*at((Y + 1) % 4)), strict=True)
    assert all(torch.equal(a, b) for pair in pairs for a, b in zip(*pair, strict=True))
    other = seen(*at(), seed=1)
    assert not any(torch.equal(a[0], b[0]) for a, b in zip(seen(*at()), other, strict=True))


def test_the_products_are_those_of_each_tensor():
    chain, params = at()
    exact = value_and_grad(chain, params)[1]
    estimator = Recorded()
    rows = [*redraws(chain, params, estimator, exact, 3)]
    place = [*exact].index(HIDDEN)
    for row, (state, noise) in zip(rows, estimator.seen, strict=True):
        draw = state + noise
        expected = torch.stack([(draw * exact[HIDDEN]).sum(), draw.square().sum()])
        assert torch.allclose(row[:, place], expected, rtol=1e-12)


def test_feedback_that_is_aligned_has_the_null_of_feedback_that_is_not():
    """The transposed weights as feedback give a cosine of 1; redrawn, they are forgotten."""
    chain, params = at()
    estimator, count, found = DirectFeedbackAlignment(), REDRAWS, {}
    first = estimator.init(chain, params, stream(0, "estimator"))
    for label, state in {"aligned": (first[0], params[HEAD]), "random": first}.items():
        observation = Observation(label, estimator, state, point(chain, params))
        [*observation.take(count)]
        i = observation.at.layers.index(HIDDEN)
        cosine, null = observation.values()["cosine"][i].item(), observation.redrawn()
        found[label] = (cosine, *(numbers[i].item() for numbers in null))
    assert found["aligned"][0] == pytest.approx(1)
    for _, centre, spread, error in found.values():
        # Symmetric feedback: the mean cosine is 0, at 5 standard errors.
        assert abs(centre) < t_of_normal(5.0, count - 1) * spread / sqrt(count)
        assert 0.5 < error < 1
    # Two estimates of one standard deviation from 64 redraws each, at 4 standard errors.
    spreads = [numbers[2] for numbers in found.values()]
    assert spreads[0] / spreads[1] == pytest.approx(1, abs=4 / sqrt(count))


def test_what_does_not_depend_on_the_feedback_is_its_own_null():
    result = measure(net(), CE, (X, Y), {"dfa": DirectFeedbackAlignment()}, draws=16)
    head = result.null("dfa", HEAD)
    assert (head.redrawn, *head.cosine) == ("feedback", pytest.approx(1), pytest.approx(1))
    assert head.scaled_error == pytest.approx(0, abs=1e-12)
    assert [row[-1] for row in result.nulls("tensor").rows] == ["feedback"] * len(result.layers)


def test_the_null_of_the_scaled_error_is_that_of_its_redraws():
    """95 % of 200 redraws have a larger one: at 5 standard errors of that share."""
    chain, params = at()
    exact = value_and_grad(chain, params)[1]
    _, groups = layer_groups(chain, [*exact])
    rows = [*redraws(chain, params, DirectFeedbackAlignment(), exact, 200)]
    squares = torch.stack([g.square().sum() for g in exact.values()])
    null = null_of_redraws(rows[:REDRAWS], squares @ groups, groups)
    i = [*exact].index(HIDDEN)
    column = -len(exact) + i  # tensors are the last groups
    cosines = torch.stack([r[0, i] / (r[1, i] * squares[i]).sqrt() for r in rows])
    errors = 1 - cosines.clamp(min=0).square()
    share = (errors > null.scaled_error[column]).double().mean().item()
    assert share == pytest.approx(0.95, abs=5 * sqrt(0.05 * 0.95 / 200))
    assert null.scaled_error[column].item() == error_null(
        null.cosine[column].item(), null.cosine_sd[column].item()
    )


@pytest.mark.parametrize("estimator", [Backprop(), ForwardGradient(), Momentum(ForwardGradient())])
def test_without_feedback_the_null_is_by_signs(estimator):
    result = measure(net(), CE, (X, Y), {"it": estimator}, draws=2)
    assert not result.redrawn
    assert result.null("it").redrawn == "signs"
    assert result.null("it").scaled_error == result.value("scaled_error_null", "it")
    low, high = result.null("it").cosine
    assert -low == high == min(1.0, 1.96 * result.value("cosine_null", "it"))


def test_a_wrapper_of_feedback_is_redrawn_too_and_single_draws_are_not():
    inner = {"it": Momentum(DirectFeedbackAlignment())}
    assert "redrawn/cosine" in {row.metric for row in measure(net(), CE, (X, Y), inner, 2).rows()}
    assert not measure(net(), CE, (X, Y), inner, 1).redrawn
