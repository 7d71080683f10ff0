"""On every network that the lab ships, at its own size: measured scatter against the law."""

import pytest
import torch

from backend.training.networks import networks
from estimators import Chain, ForwardGradient, stream, token_cross_entropy
from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import batched_draws_of
from estimators.core.laws import forward_gradient_variance

HONEST = 3
"""Draws that pass through the network, which shows that they are projections of the gradient."""
BATCH, BATCHES, NUMBERS = 50, 12, 2e7
"""Projections that are compared with the law: batches, and at most so many random numbers."""
ROUNDING = 1e-10
"""Of a slope in float64, a sum of at most 10⁵ terms, as a share of the gradient's length."""


def point(name):
    """A network of its own size at its initialisation, on a batch of 16, in float64."""
    rng = stream(0, "init", name)
    network = networks()[name]()
    shape = (10,) if name == "point" else (8,) if network.takes_tokens else (1, 8, 8)
    module = network.build(shape, 10, rng).double()
    if network.takes_tokens:
        x, y = torch.randint(10, (2, 16, *shape), generator=rng)
        chain = Chain(module, x, y, token_cross_entropy)
    else:
        x, y = torch.rand(16, *shape, generator=rng), torch.randint(10, (16,), generator=rng)
        chain = Chain(module, x.double(), y)
    return chain, {n: p.detach() for n, p in module.named_parameters()}


@pytest.mark.parametrize("noise", ["rademacher", "normal"])
@pytest.mark.parametrize("name", networks())
def test_the_forward_gradient_scatters_as_its_law_says(name, noise):
    """A draw through the network projects the gradient, and projections scatter by the law."""
    chain, params = point(name)
    exact = value_and_grad(chain, params)[1]
    law = forward_gradient_variance(exact, noise)
    estimator = ForwardGradient(noise=noise)
    rng, same = (stream(0, "estimator", name) for _ in range(2))
    draws = batched_draws_of(estimator, chain, params, None, exact, rng)
    projected = draws(HONEST)
    length = torch.cat([g.flatten() for g in exact.values()]).norm()
    for k in range(HONEST):
        honest = estimator.estimate(chain, params, None, same).grads
        for tensor, stack in projected.items():
            allowed = ROUNDING * (stack[k].abs().max() + length)
            assert (honest[tensor] - stack[k]).abs().max() <= allowed, tensor
    found = {tensor: [] for tensor in exact}
    size = sum(g.numel() for g in exact.values())
    for _ in range(min(BATCHES, 1 + int(NUMBERS / size / BATCH))):
        for tensor, stack in draws(BATCH).items():
            found[tensor].append((stack - exact[tensor]).square().flatten(1).sum(1))
    for tensor, squares in found.items():
        s = torch.cat(squares)
        assert abs(s.mean() - law[tensor]) <= 5 * s.std() / len(s) ** 0.5, tensor
