"""Many draws of the activity forward gradient by projecting the exact δ at the sites.

The network runs once; c_n = Σ_l δ_ln · u_ln, and many draws are pulled back in one backward pass.
Honest draws are faster one by one, since each is a single pass near the cost of backpropagation.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import Cut, cut_at_sites
from estimators.autodiff.perturbed_pass import Perturbed
from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.core.vectors import dense
from estimators.perturbation._activities.noise_sharing import NoiseSharing

Noises = list[Tensor]
"""What is added at each site, (K, B or 1, *units)."""


class ProjectedDraws:
    """Draws of K tangents each, on a separable loss without units of its own."""

    def __init__(
        self, chain: Chain, params: Params, sharing: NoiseSharing, passes: list[int], rng: Generator
    ) -> None:
        """`passes` are the tangents in each pass of one estimate, in the order of its noise."""
        self._chain, self._sharing, self._passes, self._rng = chain, sharing, passes, rng
        self._cut: Cut = cut_at_sites(chain, params)
        self._behind_sites = _gradient_behind_sites(self._cut)
        """The part that does not depend on the noise."""
        self._deltas = _deltas(chain, params)

    def __call__(self, count: int) -> dict[str, Tensor]:
        """The next k draws, (k, *shape) for each parameter."""
        signals = [self._signals() for _ in range(count)]
        return self._pulled_back([torch.stack(s) for s in zip(*signals, strict=True)])

    def _signals(self) -> Noises:
        """The signals of one draw, one for each site."""
        noise = self._noise()
        products = [(d * u).flatten(2).sum(2) for d, u in zip(self._deltas, noise, strict=True)]
        c = torch.stack(products).sum(0)  # (K, B)
        projected = Perturbed(self._cut.losses, c, noise, lambda _: {})
        return self._sharing.signals(self._chain, projected)

    def _noise(self) -> Noises:
        """The noise of one estimate, (K, ...), in the order in which the estimate draws it."""
        passes: list[Noises] = []
        for count in self._passes:
            noise_at = self._sharing.draw(self._chain, count, self._rng)
            us = [noise_at(i, z) for i, z in enumerate(self._cut.places)]
            passes.append([u.unsqueeze(0) for u in us] if count == 1 else us)
        return [torch.cat(u) for u in zip(*passes, strict=True)]

    def _pulled_back(self, signals: Noises) -> dict[str, Tensor]:
        count = len(signals[0])
        try:
            grads = self._before_sites(signals, batched=True)
        except RuntimeError:  # not every backward rule can be batched, such as a sparse embedding's
            draws = [self._before_sites([s[k] for s in signals]) for k in range(count)]
            pairs = zip(*draws, strict=True)
            grads = [None if g[0] is None else torch.stack([*map(dense, g)]) for g in pairs]
        return {
            name: g.expand(count, *g.shape) if before_sites is None else before_sites + g
            for (name, g), before_sites in zip(self._behind_sites.items(), grads, strict=True)
        }

    def _before_sites(self, signals: Noises, batched: bool = False) -> Sequence[Tensor | None]:
        """Σ_l (∂z_l/∂θ)ᵀ s_l between the sites; None for a parameter before none of them."""
        leaves, places = self._cut.params, self._cut.places
        live = [(z, s) for z, s in zip(places, signals, strict=True) if z.requires_grad]
        if not live:
            return [None] * len(leaves)
        return torch.autograd.grad(
            [z for z, _ in live],
            list(leaves.values()),
            [s for _, s in live],
            is_grads_batched=batched,
            retain_graph=True,
            allow_unused=True,
        )


def _deltas(chain: Chain, params: Params) -> Noises:
    """∂L/∂z at each site."""
    sites: Noises = []

    def keep(_: int, z: Tensor) -> Tensor:
        # The layers before may be frozen.
        sites.append(z if z.requires_grad else z.detach().requires_grad_())
        return sites[-1].clone()  # an in-place non-linearity must not overwrite the point of δ

    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    with torch.enable_grad():
        loss = chain.loss(chain.forward(leaves, at_site=keep))
    return list(torch.autograd.grad(loss, sites, materialize_grads=True))


def _gradient_behind_sites(cut: Cut) -> dict[str, Tensor]:
    """∂L/∂θ behind the last site, with the graph kept."""
    loss, leaves = cut.losses.mean(), list(cut.params.values())
    if not loss.requires_grad:
        return {name: torch.zeros_like(p) for name, p in cut.params.items()}
    grads = torch.autograd.grad(loss, leaves, retain_graph=True, materialize_grads=True)
    return {name: dense(g) for name, g in zip(cut.params, grads, strict=True)}
