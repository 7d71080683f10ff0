"""Gradients from the loss alone: each is the forward gradient as its step goes to nothing."""

import pytest
import torch

from estimators import SPSA, ForwardGradient, Objective, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.perturbation.evolution_strategy import EvolutionStrategy, centred_ranks
from estimators.perturbation.gaussian_smoothing import GaussianSmoothing
from estimators.perturbation.mezo import MeZO

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_count = pytest.mark.parametrize("count", [1, 3])

CENTRAL = {
    "spsa": lambda eps, k=1: SPSA(eps=eps, pairs=k, noise="normal"),
    "smoothing": lambda eps, k=1: GaussianSmoothing(mu=eps, draws=k, difference="central"),
    "es": lambda eps, k=1: EvolutionStrategy(sigma=eps, pairs=k),
    "mezo": lambda eps, k=1: MeZO(eps=eps, pairs=k),
}
each_central = pytest.mark.parametrize("make", CENTRAL.values(), ids=CENTRAL)


def one_sided(mu, k=1):
    return GaussianSmoothing(mu=mu, draws=k)


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


def estimate(estimator, objective, params, seed=0):
    return flat(estimator.estimate(objective, params, None, stream(seed, "estimator")).grads)


def quadratic():
    """L = θᵀAθ + Σθ in two tensors, and A + Aᵀ."""
    a = torch.randn(26, 26, dtype=torch.float64, generator=stream(0, "init"))
    params = {
        "w": torch.randn(6, 3, dtype=torch.float64, generator=stream(1, "init")),
        "b": torch.randn(8, dtype=torch.float64, generator=stream(2, "init")),
    }

    def loss(p):
        theta = torch.cat([p["w"].reshape(-1), p["b"]])
        return theta @ a @ theta + theta.sum()

    return Objective(loss), params, a + a.T


QUARTIC = Objective(lambda p: (p["w"] ** 4).sum())
POINT = {"w": torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)}


# --- limits ---


@each_count
@each_central
@pytest.mark.parametrize("eps", [1e-3, 1.0])
def test_central_differences_are_the_forward_gradient_on_a_quadratic(make, count, eps):
    objective, params, _ = quadratic()
    wanted = estimate(ForwardGradient(tangents=count, noise="normal"), objective, params)
    found = estimate(make(eps, count), objective, params)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)


def test_one_sided_differences_are_off_by_the_curvature_on_a_quadratic():
    objective, params, hessian = quadratic()
    rng, mu = stream(0, "estimator"), 0.1
    u = torch.cat([torch.empty_like(p).normal_(generator=rng).view(-1) for p in params.values()])
    wanted = estimate(ForwardGradient(noise="normal"), objective, params)
    wanted += mu / 2 * (u @ hessian @ u) * u
    torch.testing.assert_close(estimate(one_sided(mu), objective, params), wanted)


@each_case
@each_central
def test_the_error_of_central_differences_falls_as_eps_squared(case, make):
    slope = slope_of_error(make, case)
    assert 1.9 < slope < 2.1


@each_case
def test_the_error_of_one_sided_differences_falls_as_mu(case):
    assert 0.9 < slope_of_error(one_sided, case) < 1.1


def slope_of_error(make, case):
    """d log ‖ĝ − (g·v) v‖ / d log ε, all with the same v: a least-squares line."""
    # Short enough that no ReLU switches on the way.
    steps = torch.tensor([1e-3, 5e-4, 2.5e-4], dtype=torch.float64)
    limit = estimate(ForwardGradient(noise="normal"), case.chain, case.params, seed=5)
    errors = torch.stack(
        [
            (estimate(make(eps.item()), case.chain, case.params, seed=5) - limit).norm()
            for eps in steps
        ]
    )
    x = steps.log() - steps.log().mean()
    return float(x @ errors.log() / (x @ x))


# --- the mean: the gradient of the smoothed loss ---


def draws_of(estimator, objective, params, count, seed=0):
    rng = stream(seed, "estimator")
    return torch.stack(
        [flat(estimator.estimate(objective, params, None, rng).grads) for _ in range(count)]
    )


def assert_mean(draws, wanted):
    """Each entry, and the projection on what is wanted, which sees a wrong scale at once."""
    along = (draws @ wanted / wanted.square().sum()).unsqueeze(1)
    shown, aim = torch.cat([draws, along], 1), torch.cat([wanted, wanted.new_ones(1)])
    se = shown.std(0) / len(draws) ** 0.5
    assert ((shown.mean(0) - aim).abs() <= 5 * se).all(), (shown.mean(0), aim, se)


SMOOTH = [*(make(0.5) for make in CENTRAL.values()), one_sided(0.5), one_sided(0.5, 2)]


@pytest.mark.parametrize("estimator", SMOOTH, ids=repr)
def test_the_mean_is_the_gradient_of_the_loss_smoothed_by_normals(estimator):
    """E Σ (x + μu)⁴ has the gradient 4x³ + 12μ²x."""
    x = POINT["w"]
    assert_mean(draws_of(estimator, QUARTIC, POINT, 3000), 4 * x**3 + 12 * 0.25 * x)


@pytest.mark.parametrize("estimator", [SPSA(eps=0.5), MeZO(eps=0.5, noise="rademacher")], ids=repr)
def test_with_signs_the_mean_is_biased_by_a_third_of_that(estimator):
    x = POINT["w"]
    assert_mean(draws_of(estimator, QUARTIC, POINT, 3000), 4 * x**3 + 4 * 0.25 * x)


@each_central
def test_the_scatter_falls_with_the_count(make):
    one, four = (draws_of(make(0.1, k), QUARTIC, POINT, 800).var(0).sum() for k in (1, 4))
    assert 3 < one / four < 5.3


def test_simultaneous_perturbation_is_spalls():
    """ĝ_i = [L(θ + cΔ) − L(θ − cΔ)] / (2c Δ_i), Δ of signs."""
    found = estimate(SPSA(eps=0.1), QUARTIC, POINT)
    v = torch.sign(found / found[0])
    for delta in (v, -v):
        forward = QUARTIC({"w": POINT["w"] + 0.1 * delta})
        backward = QUARTIC({"w": POINT["w"] - 0.1 * delta})
        torch.testing.assert_close(found, (forward - backward) / (0.2 * delta))


# --- ranks ---


def test_centred_ranks_are_spread_evenly_and_ties_share():
    losses = torch.tensor([3.0, -1.0, 10.0, 0.5, 3.0])
    wanted = torch.tensor([0.125, -0.5, 0.5, -0.25, 0.125])
    torch.testing.assert_close(centred_ranks(losses), wanted)
    assert centred_ranks(torch.ones(6)).abs().max() == 0


def test_ranks_do_not_see_the_scale_of_the_loss():
    """So no limit of them is the gradient: only its direction can be compared."""
    ranks = EvolutionStrategy(pairs=6, fitness="ranks", sigma=0.1)
    stretched = Objective(lambda p: torch.exp(3 * QUARTIC(p)) - 7)
    assert torch.equal(estimate(ranks, QUARTIC, POINT), estimate(ranks, stretched, POINT))


def test_ranks_weigh_the_directions_as_published():
    ranks = EvolutionStrategy(pairs=3, fitness="ranks", sigma=0.1)
    rng = stream(0, "estimator")
    noises = [torch.empty_like(POINT["w"]).normal_(generator=rng) for _ in range(3)]
    losses = torch.stack([QUARTIC({"w": POINT["w"] + s * v}) for v in noises for s in (0.1, -0.1)])
    places = losses.argsort().argsort() / 5 - 0.5
    wanted = sum((places[2 * k] - places[2 * k + 1]) * v for k, v in enumerate(noises)) / (6 * 0.1)
    torch.testing.assert_close(estimate(ranks, QUARTIC, POINT), wanted)


@each_case
def test_ranks_descend_on_average(case):
    exact = flat(value_and_grad(case.chain, case.params)[1])
    ranks = EvolutionStrategy(pairs=3, fitness="ranks")
    slopes = draws_of(ranks, case.chain, case.params, 100) @ exact
    assert slopes.mean() > 5 * slopes.std() / 100**0.5


LIMITS = {
    "GaussianSmoothing": test_the_error_of_one_sided_differences_falls_as_mu,
    "EvolutionStrategy": test_central_differences_are_the_forward_gradient_on_a_quadratic,
    "MeZO": test_central_differences_are_the_forward_gradient_on_a_quadratic,
}
