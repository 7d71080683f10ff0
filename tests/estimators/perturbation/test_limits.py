"""Each biased estimator is exact in some limit."""

import pytest
import torch
from torch import nn

from estimators import (
    SPSA,
    ActivityForwardGradient,
    Chain,
    Claim,
    ForwardGradient,
    Objective,
    Site,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


def mean_of(estimator, objective, params, draws, seed=0):
    """The mean of the draws and the standard errors of its entries."""
    rng = stream(seed, "estimator")
    found = torch.stack(
        [flat(estimator.estimate(objective, params, None, rng).grads) for _ in range(draws)]
    )
    return found.mean(0), found.std(0) / draws**0.5


@each_case
@pytest.mark.parametrize("noise", ["rademacher", "normal", "sphere"])
def test_projected_forward_gradient_is_the_gradient_over_d_on_average(case, noise):
    estimator = ForwardGradient(noise=noise, scale="projected")
    exact = flat(value_and_grad(case.chain, case.params)[1])
    mean, se = mean_of(estimator, case.chain, case.params, 1000)
    assert ((mean - exact / len(exact)).abs() <= 5 * se + 1e-12).all()


@pytest.mark.parametrize("tangents", [1, 3])
def test_projected_forward_gradient_is_exact_in_one_dimension(tangents):
    objective = Objective(lambda p: (p["w"] ** 3).sum())
    params = {"w": torch.tensor([0.7], dtype=torch.float64)}
    estimator = ForwardGradient(tangents=tangents, noise="normal", scale="projected")
    found = estimator.estimate(objective, params, None, stream(0, "estimator")).grads["w"]
    torch.testing.assert_close(found, 3 * params["w"] ** 2)


def test_raw_and_projected_differ_by_the_squared_length_of_v():
    case, rng = CASES[0], lambda: stream(3, "estimator")
    d = sum(p.numel() for p in case.params.values())
    for noise in ("rademacher", "sphere"):
        raw = ForwardGradient(noise=noise).estimate(case.chain, case.params, None, rng())
        short = ForwardGradient(noise=noise, scale="projected").estimate(
            case.chain, case.params, None, rng()
        )
        torch.testing.assert_close(flat(raw.grads), d * flat(short.grads))


@pytest.mark.parametrize("pairs", [1, 3])
@pytest.mark.parametrize("noise", ["rademacher", "normal", "sphere"])
def test_spsa_is_the_forward_gradient_on_a_quadratic(pairs, noise):
    a = torch.randn(6, 6, dtype=torch.float64, generator=stream(0, "init"))
    objective = Objective(lambda p: p["w"] @ a @ p["w"] + p["w"].sum())
    params = {"w": torch.randn(6, dtype=torch.float64, generator=stream(1, "init"))}
    for eps in (1e-3, 1.0):
        found = SPSA(eps=eps, pairs=pairs, noise=noise).estimate(
            objective, params, None, stream(0, "estimator")
        )
        wanted = ForwardGradient(tangents=pairs, noise=noise).estimate(
            objective, params, None, stream(0, "estimator")
        )
        torch.testing.assert_close(found.grads, wanted.grads, rtol=1e-6, atol=1e-8)


@each_case
def test_spsa_tends_to_the_forward_gradient_as_eps_squared(case):
    def estimate(estimator):
        rng = stream(5, "estimator")
        return flat(estimator.estimate(case.chain, case.params, None, rng).grads)

    limit = estimate(ForwardGradient())
    errors = [(estimate(SPSA(eps=eps)) - limit).norm() for eps in (1e-3, 5e-4)]
    assert 3 < errors[0] / errors[1] < 5


def test_spsa_works_where_there_is_no_derivative():
    objective = Objective(lambda p: (p["w"] > 0).double().mean())
    params = {"w": torch.zeros(5, dtype=torch.float64)}
    found = SPSA().estimate(objective, params, None, stream(0, "estimator"))
    assert found.grads["w"].abs().sum() > 0


def test_activity_perturbation_is_unbiased_again_without_coupling():
    """Its biased case is train-mode BatchNorm; with one number for the batch it is unbiased."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), Site(), nn.Tanh(), nn.Linear(4, 2))
    module.double()
    x, y = torch.randn(4, 3).double(), torch.randint(2, (4,))
    params = {n: p.detach() for n, p in module.named_parameters()}
    estimator = ActivityForwardGradient()
    assert estimator.claim(Chain(module, x, y)) is Claim.BIASED
    one_number = Chain(module, x, y, nn.functional.cross_entropy, separable=False)
    assert estimator.claim(one_number) is Claim.UNBIASED
    exact = flat(value_and_grad(one_number, params)[1])
    mean, se = mean_of(estimator, one_number, params, 1000)
    assert ((mean - exact).abs() <= 5 * se + 1e-9).all()


LIMITS = {
    "ActivityForwardGradient": test_activity_perturbation_is_unbiased_again_without_coupling,
    "ForwardGradient": test_projected_forward_gradient_is_exact_in_one_dimension,
    "SPSA": test_spsa_is_the_forward_gradient_on_a_quadratic,
}
