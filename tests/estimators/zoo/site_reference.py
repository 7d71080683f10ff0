"""What an estimate that perturbs activations should be, worked out with hooks on the sites."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from estimators import ActivityForwardGradient, Chain, NodePerturbation, Site
from estimators.perturbation._activities.noise_sharing import NoiseSharing
from tests.estimators.zoo.foreign import Foreign
from tests.estimators.zoo.references import Grads, ordered


def along_sites(
    estimator: ActivityForwardGradient | NodePerturbation, foreign: Foreign, chain: Chain, rng: Any
) -> Grads:
    """1/K Σ_k Σ_l (∂z_l/∂θ)ᵀ c_k u_kl, and the exact gradient behind the last site."""
    finite = isinstance(estimator, NodePerturbation)
    count = estimator.draws if finite else estimator.tangents
    masked = estimator.masked_noise
    sharing = NoiseSharing(estimator.noise, batch=False, unit="", masked=masked)
    zs = _pass(foreign, chain, lambda z, _: z).sites
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


class _Pass(NamedTuple):
    sites: list[Tensor]
    """The activation at each."""
    losses: Tensor
    """One for each example, or ()."""
    parameters: Grads
    """Those that require a gradient."""


def _pass(foreign: Foreign, chain: Chain, change: Callable[[Tensor, int], Tensor]) -> _Pass:
    """A pass in which `change(z, l)` flows on from the l-th site."""
    network = foreign.build()
    zs: list[Tensor] = []

    def hook(_: Any, __: Any, z: Tensor) -> Tensor:
        zs.append(z)
        return change(z, len(zs) - 1)

    for m in network.module.modules():
        if isinstance(m, Site):
            m.register_forward_hook(hook)
    losses = chain.losses(network.module(ordered(network.x)))
    named = network.module.named_parameters()
    return _Pass(zs, losses, {n: p for n, p in named if p.requires_grad})


def _derivative(foreign: Foreign, chain: Chain, u: list[Tensor], estimator: Any) -> Tensor:
    """∂ℓ_n along u, over the number of losses: one backward pass for each loss."""
    moves: list[Tensor] = []

    def change(z: Tensor, _: int) -> Tensor:
        moves.append(torch.zeros_like(z).requires_grad_())
        return z + moves[-1]

    losses = _pass(foreign, chain, change).losses
    slopes = []
    for loss in losses.reshape(-1):
        grads = (
            torch.autograd.grad(loss, moves, retain_graph=True, materialize_grads=True)
            if loss.requires_grad
            else [torch.zeros_like(m) for m in moves]
        )
        slopes.append(sum((g * t).sum() for g, t in zip(grads, u, strict=True)))
    return torch.stack(slopes).view(losses.shape) / losses.numel()  # type: ignore[arg-type]


def _difference(foreign: Foreign, chain: Chain, u: list[Tensor], estimator: Any) -> Tensor:
    """[ℓ_n(z + ε u) − ℓ_n(z)] / ε, over the number of losses."""
    eps = estimator.eps
    with torch.no_grad():
        moved = _pass(foreign, chain, lambda z, i: z + eps * u[i]).losses
        still = _pass(foreign, chain, lambda z, _: z).losses
    return (moved - still) / still.numel() / eps


def _pulled(foreign: Foreign, chain: Chain, signals: list[Tensor]) -> Grads:
    # With a gradient at the start of a segment, as backward hooks expect it.
    cut = lambda z, _: z.detach().requires_grad_(z.requires_grad).clone()  # noqa: E731
    zs, losses, leaves = _pass(foreign, chain, cut)
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
