"""On every network that the lab ships, at its own size: measured scatter against the law."""

import pytest
import torch

from backend.training.networks import networks
from estimators import Chain, ForwardGradient, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.core.laws import forward_gradient_variance

DRAWS = 300


@pytest.mark.parametrize("noise", ["rademacher", "normal"])
@pytest.mark.parametrize("name", networks())
def test_the_forward_gradient_scatters_as_its_law_says(name, noise):
    rng = stream(0, "init", name)
    shape = (10,) if name == "point" else (1, 8, 8)
    module = networks()[name]().build(shape, 10, rng)
    x, y = torch.rand(16, *shape, generator=rng), torch.randint(10, (16,), generator=rng)
    chain, params = Chain(module, x, y), {n: p.detach() for n, p in module.named_parameters()}
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
