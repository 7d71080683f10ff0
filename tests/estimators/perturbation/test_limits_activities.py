"""Node perturbation is the activity forward gradient as its step goes to nothing."""

import pytest
import torch
from torch import nn

from estimators import ActivityForwardGradient, Chain, Site, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.perturbation.node_perturbation import NodePerturbation

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


def estimate(estimator, case):
    found = estimator.estimate(case.chain, case.params, None, stream(5, "estimator"))
    return flat(found.grads)


@each_case
@pytest.mark.parametrize("noise", ["rademacher", "normal"])
def test_node_perturbation_tends_to_the_activity_forward_gradient_as_eps(case, noise):
    limit = estimate(ActivityForwardGradient(noise=noise), case)
    errors = [
        (estimate(NodePerturbation(eps=eps, noise=noise), case) - limit).norm() / limit.norm()
        for eps in (1e-5, 5e-6)
    ]
    assert errors[0] < 1e-3
    assert 1.8 < errors[0] / errors[1] < 2.2  # one-sided: the error falls as ε


@each_case
def test_several_draws_are_averaged(case):
    rng = stream(0, "estimator")
    one = [
        flat(NodePerturbation().estimate(case.chain, case.params, None, rng).grads)
        for _ in range(3)
    ]
    found = NodePerturbation(draws=3).estimate(
        case.chain, case.params, None, stream(0, "estimator")
    )
    torch.testing.assert_close(flat(found.grads), torch.stack(one).mean(0))


def test_what_lies_behind_the_last_site_is_exact():
    case = CASES[0]
    exact = value_and_grad(case.chain, case.params)[1]
    found = NodePerturbation(eps=1.0).estimate(
        case.chain, case.params, None, stream(0, "estimator")
    )
    for name in ("output.weight", "output.bias"):
        torch.testing.assert_close(found.grads[name], exact[name])


def test_losses_of_units_have_differences_of_their_own():
    """Draw by draw the activity forward gradient's, which derives each unit's loss."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), Site(("patch", "channel"))).double()
    x = torch.randn(6, 5, 4, generator=stream(1, "data"), dtype=torch.float64)
    y = torch.zeros(6, dtype=torch.int64)
    chain = Chain(module, x, y, lambda z, _: z.square().sum(2), loss_units=("patch",))
    params = {n: p.detach() for n, p in module.named_parameters()}
    estimators = NodePerturbation(eps=1e-6, draws=2), ActivityForwardGradient()
    found, wanted = (e.estimate(chain, params, None, stream(0, "estimator")) for e in estimators)
    rng = stream(0, "estimator")
    first, second = (estimators[1].estimate(chain, params, None, rng).grads for _ in range(2))
    for name, g in found.grads.items():
        torch.testing.assert_close(g, (first[name] + second[name]) / 2, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.loss, wanted.loss)


LIMITS = {
    "NodePerturbation": test_node_perturbation_tends_to_the_activity_forward_gradient_as_eps,
}
