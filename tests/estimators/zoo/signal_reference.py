"""What methods that send signals to layers, stages or blocks should give, with hooks and autograd.

The feedback is the estimator's own; everything that reads the network is written anew here.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from estimators import Backprop, Chain, LocalLosses, Params
from estimators.core.noise import noise
from tests.estimators.zoo.foreign import Foreign, Network
from tests.estimators.zoo.references import Grads, gradient, loss_of
from tests.estimators.zoo.site_reference import along_sites

UNITS = ("channel", "height", "width")


def through_layers(estimator: Any, foreign: Foreign, params: Params, state: Any, rng: Any) -> Grads:
    """By `loss.backward()` of a network whose layers send B to their input in the place of W."""
    network = foreign.build()
    for name, kept in state[1].items():
        layer = network.module.get_submodule(name.removesuffix(".weight"))
        _send_through(layer, estimator.feedback(params[name].detach(), kept, rng))
    return gradient(network)


def _send_through(layer: Any, feedback: Tensor) -> None:
    own = type(layer).forward

    def forward(x: Tensor) -> Tensor:
        if isinstance(layer, nn.Linear):
            sent = F.linear(x, feedback)
        else:
            sent = layer._conv_forward(x, feedback, None)
        return own(layer, x.detach()) + sent - sent.detach()

    layer.forward = forward


def straight_to_stages(foreign: Foreign, chain: Chain, state: Any) -> Grads:
    """e B_l at the end of every stage but the last, pulled back within the stage."""
    network = foreign.build()
    ends = _cut_behind(network, [place.name for place in chain.boundaries])
    output, y = network.module(network.x), network.y
    loss = network.loss(output, y).mean()
    (e,) = torch.autograd.grad(loss, output, retain_graph=True)
    signals = (e.flatten(1) @ state[1]).split([h[0].numel() for h in ends], 1)
    total = loss + sum((h * s.view_as(h)).sum() for h, s in zip(ends, signals, strict=True))
    total.backward()
    return {name: p.grad for name, p in network.module.named_parameters()}  # type: ignore[misc]


def _cut_behind(network: Network, stages: list[str]) -> list[Tensor]:
    """A list that a pass fills with the stages' outputs, behind which the graph begins anew."""
    ends: list[Tensor] = []

    def cut(m: nn.Module, args: Any, h: Tensor) -> Tensor:
        ends.append(h)
        return h.detach().requires_grad_()

    for name in stages:
        network.module.get_submodule(name).register_forward_hook(cut)
    return ends


def learnt_feedback(estimator: Any, foreign: Foreign, chain: Chain, state: Any, rng: Any) -> Tensor:
    """(1 − α) B + α/N Σ_n d_n p_nᵀ, with d = Σ_l J_l p_l by two backward passes."""
    network, moves = foreign.build(), []

    def move(m: nn.Module, args: Any, h: Tensor) -> Tensor:
        moves.append(torch.zeros_like(h).requires_grad_())
        return h + moves[-1]

    for place in chain.boundaries:
        network.module.get_submodule(place.name).register_forward_hook(move)
    output = network.module(network.x)
    p = noise(state[1].new_empty(len(network.x), state[1].shape[1]), estimator.noise, rng)
    w = torch.zeros_like(output).requires_grad_()
    pulled = torch.autograd.grad(output, moves, w, create_graph=True)
    along = (torch.cat([g.flatten(1) for g in pulled], 1) * p).sum()
    (d,) = torch.autograd.grad(along, w)
    return (1 - estimator.rate) * state[1] + estimator.rate / len(d) * d.T @ p


# --- local losses ---


class _Heads(nn.Module):
    """The blocks in turn; the predictions of their heads, (B, blocks, classes)."""

    def __init__(self, blocks: dict[str, nn.Module], heads: Params) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict(blocks)
        self.heads, self.outputs = dict(heads), []

    def forward(self, h: Tensor) -> Tensor:
        found = []
        for name, block in self.blocks.items():
            h = block(h)
            weight, bias = (self.heads[f"head of {name}.linear.{w}"] for w in ("weight", "bias"))
            found.append(F.linear(h.mean((2, 3)), weight, bias))
        self.outputs = [h.detach()]
        return torch.stack(found, 1)


def _summed(outputs: Tensor, y: Tensor) -> Tensor:
    """Σ_b ℓ(head_b(h_b), y) for each example, (B,)."""
    each = [F.cross_entropy(o, y, reduction="none") for o in outputs.unbind(1)]
    return torch.stack(each).sum(0)


def of_blocks(estimator: LocalLosses, foreign: Foreign, state: Any, rng: Any) -> Grads:
    """Each block (or all together) by its heads' losses, and the last one by the network's."""
    stages = dict(foreign.build().module.named_children())
    *names, last = stages
    groups = [[name] for name in names] if estimator.greedy else [names]
    x, grads = foreign.build().x, {}
    for group in groups:
        part = Foreign(foreign.name, _part(foreign, group, state["heads"], x))
        grads |= _without_prefix(_by(estimator.inner, part, rng))
        network = part.build()
        with torch.no_grad():
            network.module(x)
        (x,) = network.module.outputs  # type: ignore[misc]
    network = foreign.build()
    readout = network._replace(module=network.module.get_submodule(last), x=x)
    return grads | {f"{last}.{name}": g for name, g in gradient(readout).items()}


def _part(foreign: Foreign, names: list[str], heads: Params, x: Tensor) -> Callable[[], Network]:
    def build() -> Network:
        network = foreign.build()
        blocks = {name: network.module.get_submodule(name) for name in names}
        return network._replace(module=_Heads(blocks, heads), x=x, loss=_summed)

    return build


def _by(inner: Any, part: Foreign, rng: Any) -> Grads:
    if isinstance(inner, Backprop):
        return gradient(part.build())
    network = part.build()
    separable = not any(isinstance(m, nn.BatchNorm2d) for m in network.module.modules())
    chain = Chain(network.module, network.x, network.y, _summed, separable=separable)
    return along_sites(inner, part, chain, rng)


def _without_prefix(grads: Grads) -> Grads:
    return {name.removeprefix("blocks."): g for name, g in grads.items()}


__all__ = ["learnt_feedback", "loss_of", "of_blocks", "straight_to_stages", "through_layers"]
