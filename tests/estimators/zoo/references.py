"""What an estimate should be, worked out with torch alone: the module is called as its user would.

The noise is the estimator's own, from the same generator; everything that reads the network is
written anew here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from estimators import ForwardGradient, NodePerturbation, Objective, Site
from estimators.core.noise import stacked_tangents
from estimators.perturbation._activities.noise_sharing import NoiseSharing
from tests.estimators.zoo.foreign import Foreign, Network

Grads = dict[str, Tensor]


def loss_of(network: Network) -> Tensor:
    return network.loss(network.module(_ordered(network.x)), network.y).mean()


def _ordered(x: Tensor) -> Tensor:
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


def along_sites(estimator: Any, foreign: Foreign, chain: Any, rng: Any) -> Grads:
    """1/K Σ_k Σ_l (∂z_l/∂θ)ᵀ c_k u_kl, and the exact gradient behind the last site."""
    finite = isinstance(estimator, NodePerturbation)
    count = estimator.draws if finite else estimator.tangents
    sharing = NoiseSharing(estimator.noise, batch=False, unit="")
    zs, _ = _pass(foreign, chain, lambda z, _: z)
    if finite:
        us = []
        for _ in range(count):
            noise = sharing.draw(chain, 1, rng)
            us.append([noise(i, z.detach()) for i, z in enumerate(zs)])
    else:
        noise = sharing.draw(chain, count, rng)
        drawn = [noise(i, z.detach()) for i, z in enumerate(zs)]
        us = [drawn] if count == 1 else [[u[k] for u in drawn] for k in range(count)]
    slope = _difference if finite else _derivative
    pairs = [(slope(foreign, chain, u, estimator), u) for u in us]
    signals = [
        sum(c.view(c.shape + (1,) * (z.ndim - c.ndim)) * u[i] for c, u in pairs) / count
        for i, z in enumerate(zs)
    ]
    return _pulled(foreign, chain, signals)


def _pass(foreign: Foreign, chain: Any, change: Any) -> tuple[list[Tensor], Tensor]:
    """A pass in which `change(z, l)` flows on from the l-th site: the z, and the losses."""
    network = foreign.build()
    zs: list[Tensor] = []

    def hook(_: Any, __: Any, z: Tensor) -> Tensor:
        zs.append(z)
        return change(z, len(zs) - 1)

    for m in network.module.modules():
        if isinstance(m, Site):
            m.register_forward_hook(hook)
    losses = chain.losses(network.module(_ordered(network.x)))
    _pass.parameters = {  # type: ignore[attr-defined]
        n: p for n, p in network.module.named_parameters() if p.requires_grad
    }
    return zs, losses


def _derivative(foreign: Foreign, chain: Any, u: list[Tensor], estimator: Any) -> Tensor:
    """∂ℓ_n along u, over the number of losses: one backward pass for each loss."""
    moves: list[Tensor] = []

    def change(z: Tensor, _: int) -> Tensor:
        moves.append(torch.zeros_like(z).requires_grad_())
        return z + moves[-1]

    _, losses = _pass(foreign, chain, change)
    slopes = []
    for loss in losses.reshape(-1):
        grads = (
            torch.autograd.grad(loss, moves, retain_graph=True, materialize_grads=True)
            if loss.requires_grad
            else [torch.zeros_like(m) for m in moves]
        )
        slopes.append(sum((g * t).sum() for g, t in zip(grads, u, strict=True)))
    return torch.stack(slopes).view(losses.shape) / losses.numel()  # type: ignore[arg-type]


def _difference(foreign: Foreign, chain: Any, u: list[Tensor], estimator: Any) -> Tensor:
    """[ℓ_n(z + ε u) − ℓ_n(z)] / ε, over the number of losses."""
    eps = estimator.eps
    with torch.no_grad():
        _, moved = _pass(foreign, chain, lambda z, i: z + eps * u[i])
        _, still = _pass(foreign, chain, lambda z, _: z)
    return (moved - still) / still.numel() / eps


def _pulled(foreign: Foreign, chain: Any, signals: list[Tensor]) -> Grads:
    # With a gradient at the start of a segment, as backward hooks expect it.
    cut = lambda z, _: z.detach().requires_grad_(z.requires_grad).clone()  # noqa: E731
    zs, losses = _pass(foreign, chain, cut)
    leaves: Grads = _pass.parameters  # type: ignore[attr-defined]
    ends = [(z, s) for z, s in zip(zs, signals, strict=True) if z.requires_grad]
    loss = losses.mean()
    if loss.requires_grad:
        ends.append((loss, torch.ones_like(loss)))
    if not ends:
        return {n: torch.zeros_like(p) for n, p in leaves.items()}
    grads = torch.autograd.grad(
        [z for z, _ in ends], list(leaves.values()), [s for _, s in ends], materialize_grads=True
    )
    return {n: g.to_dense() for n, g in zip(leaves, grads, strict=True)}
