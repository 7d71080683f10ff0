"""On every network that the lab ships, at its own size: measured scatter against the law."""

import pytest
import torch

from backend.training.networks import networks
from estimators import Chain, ForwardGradient, stream, token_cross_entropy
from estimators.autodiff.calculus import value_and_grad
from estimators.core.laws import forward_gradient_variance

DRAWS = 300


@pytest.mark.parametrize("noise", ["rademacher", "normal"])
@pytest.mark.parametrize("name", networks())
def test_the_forward_gradient_scatters_as_its_law_says(name, noise):
    rng = stream(0, "init", name)
    network = networks()[name]()
    shape = (10,) if name == "point" else (8,) if network.takes_tokens else (1, 8, 8)
    module = network.build(shape, 10, rng)
    if network.takes_tokens:
        x, y = torch.randint(10, (2, 16, *shape), generator=rng)
        chain = Chain(module, x, y, token_cross_entropy)
    else:
        x, y = torch.rand(16, *shape, generator=rng), torch.randint(10, (16,), generator=rng)
        chain = Chain(module, x, y)
    params = {n: p.detach() for n, p in module.named_parameters()}
    exact = value_and_grad(chain, params)[1]
    law = forward_gradient_variance(exact, noise)
    draws = stream(0, "estimator", name)
    found = {tensor: [] for tensor in exact}
    for _ in range(DRAWS):
        grads = ForwardGradient(noise=noise).estimate(chain, params, None, draws).grads
        for tensor, g in grads.items():
            found[tensor].append((g - exact[tensor]).square().sum().double())
    for tensor, squares in found.items():
        s = torch.stack(squares)
        assert abs(s.mean() - law[tensor]) <= 5 * s.std() / DRAWS**0.5, tensor
