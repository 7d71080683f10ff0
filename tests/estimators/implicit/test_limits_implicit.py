"""Where biased adjoints are exact."""

import pytest
import torch

from estimators import ImplicitAdjoint, stream
from estimators.autodiff.calculus import value_and_grad
from tests.estimators.implicit.setup_implicit import chain_of, flat, network


@pytest.mark.parametrize("adjoint", ["upg", "npg"])
@pytest.mark.parametrize("damping", [0.5, 1.0])
def test_many_steps_are_exact(adjoint, damping):
    """‖Bᵏ‖ ≤ (1 − λ + 0.7 λ)ᵏ, below rounding at k = 300."""
    chain, params = chain_of(network())
    estimator = ImplicitAdjoint(adjoint=adjoint, steps=300, damping=damping)
    found = estimator.estimate(chain, params, None, stream(0, "estimator")).grads
    exact = value_and_grad(chain, params)[1]
    torch.testing.assert_close(flat(found), flat(exact), rtol=0, atol=1e-11)


def test_a_cell_that_ignores_its_state_is_exact_at_once():
    """J = 0: every adjoint is the same."""
    chain, params = chain_of(network(size=0.0))
    exact = flat(value_and_grad(chain, params)[1])
    for fields in ({"adjoint": "jfb"}, {"steps": 1, "damping": 1.0}):
        found = ImplicitAdjoint(**fields).estimate(chain, params, None, stream(0, "estimator"))
        torch.testing.assert_close(flat(found.grads), exact, rtol=0, atol=1e-12)


LIMITS = {"ImplicitAdjoint": test_many_steps_are_exact}
