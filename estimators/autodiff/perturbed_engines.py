"""The ways to run a network once with noise on every site, and to pull signals back from there.

Each gives each example's derivative along the noise, and the gradients for a signal at every
site. The fastest two move tangents to the last site only: what they do to the loss from there is
read from the gradient at that site, which the parameters behind it need anyway.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.autodiff.calculus import cut_at_sites, pull_back, push_forward_from_sites
from estimators.autodiff.jvp_mode import JVPMode, NoRuleError
from estimators.autodiff.segment_gradients import SegmentGradients
from estimators.autodiff.sequential_jvp import SequentialJVP
from estimators.core.contract import Need, Params, UnsupportedError
from estimators.core.objective import Chain

Noise = Callable[[int, Tensor], Tensor]
"""(index of a site, its activation) -> its tangent, or K > 1 of them, (K, *shape); an axis may
have length 1."""

PullBack = Callable[[Sequence[Tensor]], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Perturbed:
    """The outcome of one perturbed pass."""

    loss: Tensor
    """(), the mean over the batch."""
    coefficients: Tensor
    """∂ℓ_n along the noise, divided by the number of losses: (B, *units), or () if L is one
    number; with an axis K before these where K > 1."""
    noise: list[Tensor]
    """What was added at each site, K tangents each."""
    pull_back: PullBack
    """Σ_l (∂z_l/∂θ)ᵀ s_l between the sites, and the exact gradient behind the last."""


class Engine(ABC):
    """One way to run the perturbed pass."""

    @abstractmethod
    def run(self, chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
        """One pass with K = `count` tangents at every site.

        Raises NoRuleError if the network does something that this way does not follow.
        """


class OperationByOperation(Engine):
    """The network is a plain sequence of operations of the table: nothing is intercepted."""

    def __init__(self, chain: Chain) -> None:
        self._sequence = SequentialJVP(chain)

    def run(self, chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
        mode = JVPMode(params, count)
        sites = _Sites(mode, noise, None)
        with torch.enable_grad():
            output = self._sequence.run(chain.x, mode, sites.perturb)
        return sites.from_output(chain, output)


class ToLastSite(Engine):
    """Every call of torch is intercepted; tangents go to the last site."""

    def run(self, chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
        mode = JVPMode(params, count)
        sites = _Sites(mode, noise, len(chain.places) - 1)
        losses = _intercepted(chain, mode, sites)
        with torch.enable_grad():
            loss = losses.mean()
        return sites.from_last_site(chain, loss)


class ToLoss(Engine):
    """Every call of torch is intercepted; tangents go all the way to the losses."""

    def run(self, chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
        mode = JVPMode(params, count)
        sites = _Sites(mode, noise, None)
        losses = _intercepted(chain, mode, sites)
        c = mode.get(losses)
        shape = losses.shape if count == 1 else (count, *losses.shape)
        c = losses.new_zeros(shape) if c is None else c.detach() / losses.numel()
        gradients = SegmentGradients(mode)
        with torch.enable_grad():
            loss = losses.mean()
        gradients.derive(loss)
        return sites.outcome(loss, c, gradients)


class DualNumbers(Engine):
    """torch's forward mode from end to end, and a second pass for the pull-back."""

    def run(self, chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
        cut = cut_at_sites(chain, params)
        need_sites(cut.places)
        us = [noise(i, z.detach()) for i, z in enumerate(cut.places)]
        slopes = [
            _slopes(chain, params, us if count == 1 else [u[k] for u in us]) for k in range(count)
        ]
        c = (slopes[0] if count == 1 else torch.stack(slopes)) / cut.losses.numel()
        return Perturbed(cut.losses.detach().mean(), c, us, lambda signals: pull_back(cut, signals))


def _slopes(chain: Chain, params: Params, us: list[Tensor]) -> Tensor:
    row = iter(us)
    return push_forward_from_sites(chain, params, lambda z: next(row).expand_as(z))[1]


def _intercepted(chain: Chain, mode: JVPMode, sites: "_Sites") -> Tensor:
    """The losses, with `mode` entered."""
    for name in mode.raw:
        mode.leaf(name)

    def perturb(site: int, z: Tensor) -> Tensor:
        with torch._C.DisableTorchFunction():
            return sites.perturb(site, z)

    with torch.enable_grad(), mode:
        return chain.losses(chain.forward(mode.leaves, at_site=perturb))


class _Sites:
    """What happens at the sites of one pass."""

    def __init__(self, mode: JVPMode, noise: Noise, last: int | None) -> None:
        self._mode, self._noise, self._last = mode, noise, last
        self._places: list[Tensor] = []
        self._us: list[Tensor] = []

    def perturb(self, site: int, z: Tensor) -> Tensor:
        """z, cut off from its graph, with a tangent."""
        mode, value = self._mode, z.detach()
        t = u = self._noise(site, value)
        before = mode.get(z)
        self._us.append(u)
        self._places.append(z)
        if before is not None:
            t = before + u
        elif u.shape[u.ndim - z.ndim :] != z.shape:
            t = u.expand(*u.shape[: u.ndim - z.ndim], *z.shape)
        if site == self._last:
            mode.finish(value.requires_grad_(), t)
        else:
            mode.put(value, t)
        return value

    def from_output(self, chain: Chain, output: Tensor) -> Perturbed:
        """The output is one more place, whose signal is the error ∂L/∂output."""
        mode, places = self._mode, [*self._places, output]
        t = mode.get(output)
        if t is None:
            raise NoRuleError
        loss, e = chain.loss_and_error(output)
        c, gradients = _slopes_of(chain, e, t, mode.count), SegmentGradients(mode)
        return Perturbed(loss, c, self._us, lambda s: gradients.pull_back(places, [*s, e]))

    def from_last_site(self, chain: Chain, loss: Tensor) -> Perturbed:
        """The coefficients, from the gradient at the last site."""
        gradients, end = SegmentGradients(self._mode), self._mode.end
        error = gradients.derive(loss)
        if end is None or error is None:
            raise UnsupportedError(f"no Site() reaches the loss; {Need.SITES.value} is needed")
        c = _slopes_of(chain, error, end[1], self._mode.count)
        return self.outcome(loss, c, gradients)

    def outcome(self, loss: Tensor, c: Tensor, gradients: SegmentGradients) -> Perturbed:
        need_sites(self._places)
        pull: PullBack = lambda signals: gradients.pull_back(self._places, signals)  # noqa: E731
        return Perturbed(loss.detach(), c, self._us, pull)


def _slopes_of(chain: Chain, g: Tensor, t: Tensor, count: int) -> Tensor:
    """How each example's loss moves, (B,) or (K, B): its tangent times the gradient there."""
    examples = chain.x.shape[0]
    if g.shape[0] != examples:
        raise UnsupportedError(
            f"a site's first axis must be the batch: it has {g.shape[0]} rows for {examples} "
            "examples"
        )
    if g.ndim != 2:
        g = g.reshape(examples, -1)
        t = t.reshape(g.shape if count == 1 else (count, *g.shape))
    return (t * g).sum(-1)


def need_sites(places: list[Tensor]) -> None:
    """Raise UnsupportedError if no site was passed."""
    if not places:
        raise UnsupportedError(f"no Site() was passed; {Need.SITES.value} is needed")
