"""Draws of the activity-perturbed forward gradient by projecting the exact δ at the sites.

The network is run and cut once; c_n = Σ_l δ_ln · u_ln, and many draws are pulled back at once.
Honest draws are faster one by one: each is a single pass near backpropagation's cost.
"""

from typing import Any

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import Cut, cut_at_sites
from estimators.autodiff.perturbed_pass import Perturbed
from estimators.core.contract import Params
from estimators.core.objective import Chain, Objective
from estimators.measurement.draws.weight_draws import Make, Stack
from estimators.perturbation._activities.noise_sharing import NoiseSharing
from estimators.perturbation.activity_forward_gradient import AT_ONCE, ActivityForwardGradient

Noises = list[Tensor]
"""What is added at each site, (K, B or 1, *units)."""


def activity_draws(
    estimator: ActivityForwardGradient,
    objective: Objective,
    params: Params,
    state: Any,
    rng: Generator,
    exact: Params | None,
) -> Make | None:
    """The draws of `estimate` from the same `rng`, without a tangent; None without `exact`."""
    if exact is None or not isinstance(objective, Chain):
        return None
    if not objective.separable or objective.loss_units:
        return None
    return _Many(estimator, objective, params, rng).make


class _Many:
    def __init__(
        self, estimator: ActivityForwardGradient, chain: Chain, params: Params, rng: Generator
    ) -> None:
        self.tangents, self.chain, self.params, self.rng = estimator.tangents, chain, params, rng
        self.grain = NoiseSharing(estimator.noise, estimator.sharing == "batch", estimator.unit)
        self.cut: Cut = cut_at_sites(chain, params)
        self.behind = _behind(self.cut)
        """What does not depend on the noise: the exact gradient behind the last site."""
        self.deltas = _deltas(chain, params)

    def make(self, count: int) -> Stack:
        made = []
        for _ in range(count):
            us = self._noise()
            c = _projected(self.deltas, us)
            found = Perturbed(self.cut.losses, c, us, lambda _: {})
            made.append(self.grain.signals(self.chain, found))
        signals = [torch.stack(s) for s in zip(*made, strict=True)]
        return self._pulled(signals)

    def _noise(self) -> Noises:
        """What one estimate draws, (K, ...), in its order."""
        passes: list[Noises] = []
        left = self.tangents
        while left:
            some = min(left, AT_ONCE)
            drawn = self.grain.draw(self.chain, some, self.rng)
            us = [drawn(i, z) for i, z in enumerate(self.cut.places)]
            passes.append([u.unsqueeze(0) for u in us] if some == 1 else us)
            left -= some
        return [torch.cat(u) for u in zip(*passes, strict=True)]

    def _pulled(self, signals: Noises) -> Stack:
        """Each draw's signals to the parameters, all draws in one backward pass."""
        leaves, places = self.cut.params, self.cut.places
        live = [(z, s) for z, s in zip(places, signals, strict=True) if z.requires_grad]
        grads = torch.autograd.grad(
            [z for z, _ in live],
            list(leaves.values()),
            [s for _, s in live],
            is_grads_batched=True,
            retain_graph=True,
            allow_unused=True,
        )
        return {
            name: g.expand(len(signals[0]), *g.shape) if own is None else own + g
            for (name, g), own in zip(self.behind.items(), grads, strict=True)
        }


def _deltas(chain: Chain, params: Params) -> Noises:
    """∂L/∂z at each site."""
    sites: Noises = []

    def keep(_: int, z: Tensor) -> Tensor:
        sites.append(z)
        return z.clone()  # an in-place non-linearity must not overwrite what δ is taken at

    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    with torch.enable_grad():
        loss = chain.loss(chain.forward(leaves, at_site=keep))
    return list(torch.autograd.grad(loss, sites))


def _projected(deltas: Noises, us: Noises) -> Tensor:
    """Σ_l δ_ln · u_lkn, (K, B)."""
    each = [(d * u).flatten(2).sum(2) for d, u in zip(deltas, us, strict=True)]
    return torch.stack(each).sum(0)


def _behind(cut: Cut) -> Stack:
    """∂L/∂θ behind the last site, with the graph kept."""
    end, leaves = cut.losses.mean(), list(cut.params.values())
    if not end.requires_grad:
        return {name: torch.zeros_like(p) for name, p in cut.params.items()}
    grads = torch.autograd.grad(end, leaves, retain_graph=True, materialize_grads=True)
    return dict(zip(cut.params, grads, strict=True))
