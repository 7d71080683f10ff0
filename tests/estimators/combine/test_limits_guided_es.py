"""Search stretched along another estimator's directions."""

import dataclasses

import pytest
import torch

from estimators import (
    Backprop,
    Claim,
    Cost,
    DirectFeedbackAlignment,
    Estimate,
    Estimator,
    ForwardGradient,
    Need,
    Objective,
    UnsupportedError,
    require,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.combine.guided_es import GuidedES, _orthonormal
from estimators.conformance import cases
from estimators.perturbation.evolution_strategy import EvolutionStrategy

A = torch.randn(6, 6, dtype=torch.float64, generator=stream(0, "init"))
QUADRATIC = Objective(lambda p: theta(p) @ A @ theta(p) + theta(p).sum())
POINT = {
    "b": torch.randn(2, dtype=torch.float64, generator=stream(1, "init")),
    "w": torch.randn(2, 2, dtype=torch.float64, generator=stream(2, "init")),
}
CASES = cases()


def theta(p):
    return torch.cat([p["b"], p["w"].reshape(-1)])


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


EXACT = flat(value_and_grad(QUADRATIC, POINT)[1])


def state_with(estimator, directions):
    state = estimator.init(QUADRATIC, POINT, stream(0, "init"))
    return {**state, "directions": directions}


def draws_of(estimator, state, count, objective=QUADRATIC, params=POINT):
    rng = stream(0, "estimator")
    return torch.stack(
        [flat(estimator.estimate(objective, params, state, rng).grads) for _ in range(count)]
    )


def assert_mean(draws, wanted):
    along = (draws @ wanted / wanted.square().sum()).unsqueeze(1)
    shown, aim = torch.cat([draws, along], 1), torch.cat([wanted, wanted.new_ones(1)])
    se = shown.std(0) / len(draws) ** 0.5
    assert ((shown.mean(0) - aim).abs() <= 5 * se + 1e-9).all(), (shown.mean(0), aim, se)


@pytest.mark.parametrize(("alpha", "subspace"), [(0.0, 3), (0.5, 1), (0.5, 3), (1.0, 3)])
def test_the_mean_is_beta_sigma_times_the_gradient_on_a_quadratic(alpha, subspace):
    """Σ = α/d I + (1 − α)/k P, with P the projection on the directions kept."""
    others = torch.randn(2, 6, dtype=torch.float64, generator=stream(3, "init"))
    kept = torch.cat([others, EXACT.unsqueeze(0)])[-subspace:]
    projection = torch.linalg.pinv(kept) @ kept
    sigma = alpha / 6 * torch.eye(6, dtype=torch.float64) + (1 - alpha) / subspace * projection
    estimator = GuidedES(Backprop(), subspace=subspace, alpha=alpha, beta=3.0, pairs=2, sigma=0.5)
    assert_mean(draws_of(estimator, state_with(estimator, others), 500), 3 * sigma @ EXACT)


def test_without_the_guide_it_is_the_evolution_strategy():
    params = {"w": POINT["w"].reshape(-1)}
    objective = Objective(lambda p: (p["w"] ** 3).sum())
    guided = GuidedES(Backprop(), alpha=1, beta=4, sigma=0.6, pairs=1)
    plain = EvolutionStrategy(sigma=0.3, pairs=1)  # σ/√d
    state = guided.init(objective, params, stream(0, "init"))
    found = guided.estimate(objective, params, state, stream(0, "estimator")).grads["w"]
    wanted = plain.estimate(objective, params, None, stream(0, "estimator")).grads["w"]
    torch.testing.assert_close(found, wanted)


def test_within_an_exact_guide_alone_it_is_the_gradient_on_average():
    """α = 0, k = 1, U = g/‖g‖: ĝ = β b² g with b normal."""
    estimator = GuidedES(Backprop(), subspace=1, alpha=0, beta=1, pairs=1)
    state = estimator.init(QUADRATIC, POINT, stream(0, "init"))
    draws = draws_of(estimator, state, 800)
    factors = draws @ EXACT / EXACT.square().sum()
    torch.testing.assert_close(draws, factors.unsqueeze(1) * EXACT)
    assert abs(factors.mean() - 1) < 5 * (2 / 800) ** 0.5
    assert 1.5 < factors.var() < 2.5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_its_error_falls_as_sigma_squared(case):
    """Against the same search along tangents, whose limit is taken at a much smaller σ."""

    def found(sigma):
        estimator = GuidedES(Backprop(), sigma=sigma)
        state = estimator.init(case.chain, case.params, stream(0, "init"))
        return draws_of(estimator, state, 1, case.chain, case.params)

    limit = found(1e-4)
    ratio = (found(4e-3) - limit).norm() / (found(2e-3) - limit).norm()
    assert 3.7 < ratio < 4.3


@dataclasses.dataclass(frozen=True)
class Counting(Estimator[Objective, torch.Tensor]):
    """Points along 1, 2, 3, … by turns."""

    def claim(self, objective, /):
        return Claim.BIASED

    def cost(self, objective, /):
        return Cost(forwards=1)

    def init(self, objective, params, rng, /):
        return torch.zeros(())

    def estimate(self, objective, params, state, rng, /):
        grads = {n: torch.full_like(p, float(state) + 1) for n, p in params.items()}
        return Estimate(grads, objective(params), state + 1)


def test_the_last_directions_are_kept():
    estimator = GuidedES(Counting(), subspace=3)
    state = estimator.init(QUADRATIC, POINT, stream(0, "init"))
    assert state["directions"].shape == (0, 6)
    for step in range(5):
        found = estimator.estimate(QUADRATIC, POINT, state, stream(0, "estimator", step)).state
        shadow = estimator.advance(QUADRATIC, POINT, state, stream(0, "estimator", step))
        assert torch.equal(found["directions"], shadow["directions"])
        assert torch.equal(found["guide"], shadow["guide"])
        state = found
    assert state["directions"][:, 0].tolist() == [3.0, 4.0, 5.0]
    assert state["guide"] == 5


def test_directions_that_repeat_count_once():
    other = torch.randn(1, 6, dtype=torch.float64, generator=stream(3, "init"))
    rows = torch.cat([other, 1e6 * EXACT.unsqueeze(0), -3 * other, 0 * other])
    basis = rows.T @ _orthonormal(rows)
    torch.testing.assert_close(basis.T @ basis, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(basis @ (basis.T @ EXACT), EXACT)
    torch.testing.assert_close(basis @ (basis.T @ other[0]), other[0])


@pytest.mark.parametrize("directions", [torch.zeros(4, 6), torch.ones(5, 6), torch.eye(6)])
def test_any_directions_give_a_finite_search(directions):
    estimator = GuidedES(Backprop(), subspace=12)
    assert draws_of(estimator, state_with(estimator, directions.double()), 1).isfinite().all()


def test_a_guide_that_says_nothing_leaves_a_search_everywhere():
    flatland = Objective(lambda p: 0 * p["w"].sum() + 2.0)
    params = {"w": torch.ones(3, dtype=torch.float64)}
    estimator = GuidedES(Backprop())
    state = estimator.init(flatland, params, stream(0, "init"))
    found = estimator.estimate(flatland, params, state, stream(0, "estimator"))
    assert torch.equal(found.grads["w"], torch.zeros(3, dtype=torch.float64))


def test_a_better_guide_gives_a_better_direction():
    case = CASES[0]
    exact = flat(value_and_grad(case.chain, case.params)[1])

    def cosine(guide):
        estimator = GuidedES(guide, subspace=1, pairs=1)
        state = estimator.init(case.chain, case.params, stream(0, "init"))
        draws = draws_of(estimator, state, 80, case.chain, case.params)
        return torch.cosine_similarity(draws, exact, dim=1).mean()

    assert cosine(Backprop()) > 0.5 > cosine(DirectFeedbackAlignment()) > cosine(ForwardGradient())


def test_it_needs_what_its_guide_needs():
    assert GuidedES().needs() == DirectFeedbackAlignment().needs()
    assert Need.STAGES in GuidedES().needs()
    with pytest.raises(UnsupportedError, match="stages"):
        require(GuidedES(), QUADRATIC, POINT)
    guided = GuidedES(Backprop(), pairs=3).cost(QUADRATIC)
    assert guided.forwards == Backprop().cost(QUADRATIC).forwards + 6


LIMITS = {"GuidedES": test_within_an_exact_guide_alone_it_is_the_gradient_on_average}


def test_the_search_is_as_long_whatever_the_guide_has_seen():
    """At the first step there is one direction, not k: all variance is along it."""
    a = torch.tensor([3.0, -4.0], dtype=torch.float64)
    line, params = Objective(lambda p: p["w"] @ a), {"w": torch.zeros_like(a)}
    method = GuidedES(guide=Backprop(), subspace=4, alpha=0.0, pairs=1000)
    state, rng = method.init(line, params, stream(0, "init")), stream(0, "estimator")
    found = method.estimate(line, params, state, rng).grads["w"]
    torch.testing.assert_close(found, method.beta * a, rtol=0.2, atol=0)
