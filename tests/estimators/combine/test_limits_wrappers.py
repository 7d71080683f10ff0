"""Wrappers and control arms: against closed forms, and where they are exact."""

import dataclasses

import pytest
import torch

from estimators import Backprop, Claim, DirectFeedbackAlignment, ForwardGradient, Objective, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.combine.clip_norm import ClipNorm
from estimators.combine.mean_of_draws import MeanOfDraws
from estimators.combine.momentum import Momentum
from estimators.conformance import cases
from estimators.control.exact_plus_noise import ExactPlusNoise
from estimators.control.random_direction import RandomDirection
from estimators.control.sign_of import SignOf
from estimators.control.stale import Stale

CASE = cases()[0]
ALL = [
    wrapper(inner=inner)
    for wrapper in (MeanOfDraws, Momentum, ClipNorm, SignOf, Stale)
    for inner in (Backprop(), ForwardGradient(), DirectFeedbackAlignment())
]


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


EXACT = flat(value_and_grad(CASE.chain, CASE.params)[1])


def start(estimator):
    return estimator.init(CASE.chain, CASE.params, stream(0, "init", "state"))


def walk(estimator, points, seed=0):
    """The estimates along some points, the state handed on."""
    state, found = start(estimator), []
    for step, params in enumerate(points):
        estimate = estimator.estimate(CASE.chain, params, state, stream(seed, "estimator", step))
        state = estimate.state
        found.append(flat(estimate.grads))
    return found


def points(count):
    return [{n: p + 0.1 * k for n, p in CASE.params.items()} for k in range(count)]


def draws(estimator, count, seed=0):
    rng, state = stream(seed, "estimator"), start(estimator)
    found = [estimator.estimate(CASE.chain, CASE.params, state, rng) for _ in range(count)]
    return torch.stack([flat(one.grads) for one in found])


def test_a_mean_of_draws_is_the_mean_of_the_same_noise():
    (found,) = walk(MeanOfDraws(draws=3), points(1))
    rng = stream(0, "estimator", 0)
    each = [ForwardGradient().estimate(CASE.chain, CASE.params, None, rng) for _ in range(3)]
    torch.testing.assert_close(found, torch.stack([flat(e.grads) for e in each]).mean(0))


def test_the_variance_of_a_mean_of_draws_falls_as_their_number():
    one, four = (
        (draws(e, 500) - EXACT).square().sum(1).mean()
        for e in (ForwardGradient(), MeanOfDraws(draws=4))
    )
    assert 3 < one / four < 5.3


def test_a_mean_of_biased_draws_tends_to_their_mean():
    inner = SignOf(ForwardGradient())
    mean = draws(inner, 1500).mean(0)
    off = draws(MeanOfDraws(inner, draws=300), 4).mean(0) - mean
    assert off.norm() / mean.norm() < 0.2


def test_momentum_is_the_weighted_mean_of_what_the_inner_gave():
    beta, steps = 0.7, 6
    given = walk(ForwardGradient(), points(steps))
    found = walk(Momentum(beta=beta), points(steps))
    for t in range(steps):
        weights = torch.tensor([beta ** (t - k) for k in range(t + 1)], dtype=torch.float64)
        wanted = (weights[:, None] * torch.stack(given[: t + 1])).sum(0) / weights.sum()
        torch.testing.assert_close(found[t], wanted)


def test_momentum_of_the_exact_gradient_is_exact_where_nothing_moves():
    for found in walk(Momentum(Backprop()), [CASE.params] * 5):
        torch.testing.assert_close(found, EXACT)


def test_momentum_without_memory_is_the_inner_estimator():
    assert Momentum(beta=0.0).claim(CASE.chain) is Claim.UNBIASED
    for a, b in zip(
        walk(Momentum(beta=0.0), points(3)), walk(ForwardGradient(), points(3)), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_momentum_lowers_the_noise_where_nothing_moves():
    """After many steps, tr Var falls to (1 − β)/(1 + β) of the inner's."""
    beta, runs = 0.8, 150
    last = torch.stack([walk(Momentum(beta=beta), [CASE.params] * 12, s)[-1] for s in range(runs)])
    inner = (draws(ForwardGradient(), 500) - EXACT).square().sum(1).mean()
    ratio = (last - EXACT).square().sum(1).mean() / inner
    assert 0.7 < ratio / ((1 - beta) / (1 + beta)) < 1.5


@pytest.mark.parametrize("norm", [0.01, 1.0, 1e6])
def test_a_clipped_estimate_is_no_longer_than_the_bound_and_points_the_same_way(norm):
    before, after = draws(ForwardGradient(), 20), draws(ClipNorm(norm=norm), 20)
    wanted = before * (norm / before.norm(dim=1, keepdim=True)).clamp(max=1)
    torch.testing.assert_close(after, wanted)


def test_a_clipped_gradient_is_exact_within_the_bound():
    torch.testing.assert_close(draws(ClipNorm(Backprop(), norm=1e3), 1)[0], EXACT)
    zero = Objective(lambda p: 0 * p["w"].sum())
    params = {"w": torch.ones(3)}
    found = ClipNorm(Backprop()).estimate(zero, params, None, stream(0, "estimator"))
    assert not found.grads["w"].any()


def test_a_random_direction_is_as_long_as_the_gradient_and_has_no_mean():
    found = draws(RandomDirection(), 1000)
    torch.testing.assert_close(found.norm(dim=1), EXACT.norm().expand(1000))
    off = found.mean(0).abs() / (found.std(0) / 1000**0.5)
    assert (off < 5).all()
    cosine = found @ EXACT / EXACT.square().sum()
    assert abs(cosine.mean()) < 5 * cosine.std() / 1000**0.5


def test_signs():
    found = draws(SignOf(), 1)[0]
    assert torch.equal(found, EXACT.sign())
    long = draws(SignOf(scale="norm"), 1)[0]
    torch.testing.assert_close(long.norm(), EXACT.norm())
    assert torch.equal(long.sign(), EXACT.sign())


def test_a_sign_of_the_gradients_length_is_exact_in_one_dimension():
    objective = Objective(lambda p: (p["w"] ** 3).sum())
    params = {"w": torch.tensor([0.7], dtype=torch.float64)}
    found = SignOf(scale="norm").estimate(objective, params, None, stream(0, "estimator"))
    torch.testing.assert_close(found.grads["w"], 3 * params["w"] ** 2)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_stale_estimate_is_that_of_n_steps_ago(steps):
    given = walk(ForwardGradient(), points(7))
    found = walk(Stale(ForwardGradient(), steps=steps), points(7))
    for t in range(7):
        torch.testing.assert_close(found[t], given[max(0, t - steps)])


def test_a_stale_gradient_is_exact_where_nothing_moves():
    for found in walk(Stale(steps=2), [CASE.params] * 4):
        torch.testing.assert_close(found, EXACT)


def test_a_stale_estimate_keeps_no_more_than_it_needs():
    estimator = Stale(steps=2)
    state = start(estimator)
    for _ in range(5):
        state = estimator.advance(CASE.chain, CASE.params, state, stream(0, "estimator"))
    assert len(state["waiting"]) == 2


@pytest.mark.parametrize("snr", [0.1, 10.0])
def test_isotropic_noise_has_the_snr_that_was_asked_for(snr):
    error = draws(ExactPlusNoise(snr=snr), 600) - EXACT
    assert EXACT.square().sum() / error.square().sum(1).mean() == pytest.approx(snr, rel=0.08)
    each = error.square().mean(0)
    assert each.max() / each.min() < 2


def test_noise_sized_and_shaped_as_another_estimators_deviation():
    inner = SignOf(scale="norm")  # its deviation is one vector, the same at each draw
    deviation = draws(inner, 1)[0] - EXACT
    shaped = draws(ExactPlusNoise("shape", inner=inner), 40) - EXACT
    heads = (shaped @ deviation / deviation.square().sum()).round()
    torch.testing.assert_close(shaped, heads[:, None] * deviation)
    assert set(heads.tolist()) == {-1.0, 1.0}
    sized = draws(ExactPlusNoise("size", inner=inner), 40) - EXACT
    torch.testing.assert_close(sized.norm(dim=1), deviation.norm().expand(40))
    assert (torch.cosine_similarity(sized, deviation[None]).abs() < 0.9).all()


def test_isotropic_noise_asks_nothing_of_the_inner_estimator():
    alone, imitating = (
        ExactPlusNoise(n, inner=DirectFeedbackAlignment()) for n in ("isotropic", "size")
    )
    assert alone.needs() == Backprop().needs()
    assert set(imitating.needs()) == set(DirectFeedbackAlignment().needs())
    assert alone.cost(CASE.chain).forward_equivalents == 3
    assert imitating.cost(CASE.chain).forward_equivalents == 6


@pytest.mark.parametrize("estimator", ALL, ids=repr)
def test_the_inner_estimators_needs_and_first_state_are_carried(estimator):
    assert estimator.needs() == estimator.inner.needs()
    state, inner = start(estimator), start(estimator.inner)
    held = state["inner"] if isinstance(estimator, Momentum | Stale) else state
    assert repr(held) == repr(inner)


@dataclasses.dataclass(frozen=True)
class Counting(Backprop):
    """Counts its estimates in its state."""

    def init(self, objective, params, rng, /):
        return torch.zeros(())

    def estimate(self, objective, params, state, rng, /):
        return super().estimate(objective, params, state, rng)._replace(state=state + 1)

    def advance(self, objective, params, state, rng, /):
        return state + 1


@pytest.mark.parametrize("wrapper", [MeanOfDraws, Momentum, ClipNorm, SignOf, Stale])
def test_the_inner_state_moves_by_one_a_step(wrapper):
    estimator = wrapper(inner=Counting())
    for move in (
        lambda s: estimator.estimate(CASE.chain, CASE.params, s, stream(0, "estimator")).state,
        lambda s: estimator.advance(CASE.chain, CASE.params, s, stream(0, "estimator")),
    ):
        state = move(move(start(estimator)))
        assert (state["inner"] if isinstance(state, dict) else state) == 2


def test_claims_follow_the_inner_estimator():
    for inner in (Backprop(), ForwardGradient(), DirectFeedbackAlignment()):
        assert MeanOfDraws(inner).claim(CASE.chain) is inner.claim(CASE.chain)
        assert Momentum(inner).claim(CASE.chain) is Claim.BIASED
        assert ClipNorm(inner).claim(CASE.chain) is Claim.BIASED


def test_coverage_says_exact_only_of_an_exact_claim():
    assert set(Momentum(Backprop()).coverage(CASE.chain, CASE.params).values()) == {"estimated"}
    found = MeanOfDraws(Backprop()).coverage(CASE.chain, CASE.params)
    assert set(found.values()) == {"exact"}
    fed = MeanOfDraws(DirectFeedbackAlignment()).coverage(CASE.chain, CASE.params)
    assert fed["output.weight"] == "exact"


LIMITS = {
    "MeanOfDraws": test_a_mean_of_biased_draws_tends_to_their_mean,
    "Momentum": test_momentum_of_the_exact_gradient_is_exact_where_nothing_moves,
    "ClipNorm": test_a_clipped_gradient_is_exact_within_the_bound,
    "SignOf": test_a_sign_of_the_gradients_length_is_exact_in_one_dimension,
    "Stale": test_a_stale_gradient_is_exact_where_nothing_moves,
}


def test_clipping_reports_the_length_before_it():
    case = cases()[0]
    found = ClipNorm(inner=Backprop(), norm=1e-3).estimate(
        case.chain, case.params, None, stream(0, "estimator")
    )
    exact = value_and_grad(case.chain, case.params)[1]
    length = torch.cat([g.reshape(-1) for g in exact.values()]).norm()
    torch.testing.assert_close(found.info["norm_before_clipping"], length)
