"""What an estimate should be, worked out with torch alone: the module is called as its user would.

The noise is the estimator's own, from the same generator; everything that reads the network is
written anew here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from estimators import ForwardGradient, Objective
from estimators.core.noise import stacked_tangents
from tests.estimators.zoo.foreign import Foreign, Network

Grads = dict[str, Tensor]


def loss_of(network: Network) -> Tensor:
    return network.loss(network.module(ordered(network.x)), network.y).mean()


def ordered(x: Tensor) -> Tensor:
    """torch (2.13) ends the process in the backward pass of a GroupNorm on other layouts."""
    return x.contiguous()


@cache
def exact_gradient(foreign: Foreign) -> Grads:
    """Of the network on its batch."""
    return gradient(foreign.build())


def gradient(network: Network) -> Grads:
    """By `loss.backward()`."""
    loss_of(network).backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.to_dense()
        for name, p in network.module.named_parameters()
        if p.requires_grad
    }


def linear_loss(grads: Grads, params: Mapping[str, Tensor]) -> Objective:
    """⟨g, θ⟩: the loss to first order, whose directional derivatives are ⟨g, v⟩."""

    def loss(moved: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([(moved[name] * grads[name]).reshape(-1) for name in params]).sum()

    return Objective(loss)


def plain_loss(foreign: Foreign) -> Objective:
    """The loss of a module that holds the weights itself, its buffers as they are at first."""
    network = foreign.build()
    own = dict(network.module.named_parameters())
    first = {k: b.clone() for k, b in network.module.state_dict().items() if k not in own}

    def loss(params: Mapping[str, Tensor]) -> Tensor:
        with torch.no_grad():
            network.module.load_state_dict(first, strict=False)
            for name, p in params.items():
                own[name].copy_(p)
            return loss_of(network)

    return Objective(loss)


def along_examples(
    estimator: ForwardGradient, foreign: Foreign, params: Mapping[str, Tensor], rng: Any
) -> Grads:
    """1/B Σ_n ⟨∇ℓ_n, v_n⟩ v_n, each ∇ℓ_n from a batch of one."""
    network = foreign.build()
    count = len(network.x)
    v = dict(zip(params, stacked_tangents(params, estimator.noise, rng, count), strict=True))
    total = {name: torch.zeros_like(p) for name, p in params.items()}
    for n in range(count):
        alone = foreign.build()
        g = gradient(alone._replace(x=alone.x[n : n + 1], y=alone.y[n : n + 1]))
        slope = torch.stack([(g[name] * v[name][n]).sum() for name in params]).sum()
        for name in params:
            total[name] += slope * v[name][n] / count
    return total
