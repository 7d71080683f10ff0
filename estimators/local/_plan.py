"""A network divided into blocks that end in heads of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Generator, Tensor, nn

from estimators.core.contract import UnsupportedError
from estimators.core.objective import Chain
from estimators.core.structure import PerNetwork
from estimators.local._replicated import POOLED
from estimators.local.blocks import (
    Block,
    HeadChain,
    LocalChain,
    LocalHead,
    UnitChain,
    Units,
    name_of_head,
)


@dataclass(frozen=True, eq=False)
class Plan:
    """A network divided: segments between stop-gradients, then the readout stage."""

    segments: tuple[LocalChain, ...]
    members: tuple[tuple[Block, ...], ...]
    """The blocks of each segment."""
    readout: Chain

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(block for members in self.members for block in members)

    def made(self) -> tuple[Block, ...]:
        """The blocks for which the network has no head, so that one is made."""
        return tuple(block for block in self.blocks if not block.brought)

    def blank_heads(self) -> dict[str, Tensor]:
        """Weights and biases of zero for the heads that are made, by name."""
        heads = {}
        for block in self.made():
            blank = (torch.zeros_like(p.detach()) for p in block.head.parameters())
            heads |= zip(block.names, blank, strict=True)
        return heads

    def first_heads(self, rng: Generator) -> dict[str, Tensor]:
        """The same with weights uniform in ±1/√features."""
        heads = self.blank_heads()
        for block in self.made():
            weight = heads[block.names[0]]
            bound = weight.shape[1] ** -0.5
            weight.uniform_(-bound, bound, generator=rng)
        return heads


_PLANS = PerNetwork[Plan]()


def plan(chain: Chain, greedy: bool, per: Units) -> Plan:
    """The chain's blocks, worked out once for each network.

    Args:
        chain: The network.
        greedy: Each block is a segment of its own; else all blocks are one segment.
        per: Units that have losses of their own, in greedy segments whose network names them.
    """
    return _PLANS.get_or_make(chain, (greedy, per), lambda: _divide(chain, greedy, per))


def _divide(chain: Chain, greedy: bool, per: Units) -> Plan:
    groups = _groups(chain)
    for group in groups:
        _refuse_tied(chain, group)
    last = groups.pop()
    ends: list[Tensor] = []

    def keep(_: int, h: Tensor) -> Tensor:
        ends.append(h)
        return h

    with torch.no_grad():
        output = chain.forward({}, at_stage=keep)
    if output.ndim != 2:
        raise UnsupportedError(
            "local losses need an output of one number a class, (B, classes); this network's "
            f"has shape {tuple(output.shape)}"
        )
    few = chain.on(chain.x[:2].clone(), chain.y[:2].clone())  # batch norm refuses one alone
    inputs = [few.x, *(torch.zeros_like(h[:2]) for h in ends)]
    blocks = [
        _block(few.part(group).on(x, few.y), h, output.shape[1])
        for group, x, h in zip(groups, inputs[:-1], ends, strict=True)
    ]
    members = tuple((block,) for block in blocks) if greedy else (tuple(blocks),)
    return Plan(
        tuple(_segment(chain, m, per) for m in members),
        members,
        chain.part(last).on(inputs[-1], few.y),
    )


def _refuse_tied(chain: Chain, group: Sequence[str]) -> None:
    """Raise UnsupportedError for a weight that two blocks share: its name is the first block's."""
    names = {name for name, _ in chain.module.named_parameters()}
    for name, _ in chain.part(group).module.named_parameters():
        if name not in names:
            raise UnsupportedError(
                f"{name} is tied to a weight of an earlier block; blocks that have losses of "
                "their own take weights of their own: untie it"
            )


def _segment(chain: Chain, members: tuple[Block, ...], per: Units) -> LocalChain:
    block = members[0]
    units = tuple(u for u in block.units if u in per) if block.brought else ()
    if units and chain.separable and len(members) == 1:
        return UnitChain(chain, block, units)
    return HeadChain(chain, members)


def _groups(chain: Chain) -> list[tuple[str, ...]]:
    """The stages, divided at the boundaries."""
    ends = {place.name for place in chain.boundaries}
    groups: list[list[str]] = [[]]
    for name in chain.stages:
        groups[-1].append(name)
        if name in ends:
            groups.append([])
    return [tuple(group) for group in groups]


def _block(trunk: Chain, h: Tensor, outputs: int) -> Block:
    """The block that ends in `h`, (B, *units)."""
    stages, shape = trunk.stages, tuple(h.shape[1:])
    own = [name for name, _ in trunk.module.named_parameters()]
    for name, module in trunk.module.named_modules():
        if isinstance(module, LocalHead):
            names = (f"{name}.linear.weight", f"{name}.linear.bias")
            rest = tuple(n for n in own if n not in names)
            return Block(stages, module.units, module.linear, names, True, trunk, rest)
    units = _units(trunk, shape)
    sizes = [n for n, unit in zip(shape, units, strict=True) if unit not in POOLED]
    head = _blank(prod(sizes), outputs, h)
    prefix = f"{name_of_head(stages[0])}.linear"
    names = (f"{prefix}.weight", f"{prefix}.bias")
    return Block(stages, units, head, names, False, trunk, tuple(own))


def _blank(features: int, outputs: int, like: Tensor) -> nn.Linear:
    """A linear map of zeros, made without torch's global generator."""
    head = nn.Linear(features, outputs, device="meta", dtype=like.dtype)
    head = head.to_empty(device=like.device)
    for p in head.parameters():
        nn.init.zeros_(p)
    return head


def _units(trunk: Chain, shape: tuple[int, ...]) -> Units:
    """The axes of a stage's output: those of its last site with that shape, else an image's."""
    places = [place for place in trunk.places if place.shape == shape and place.units]
    if places:
        return places[-1].units
    if len(shape) > 3:
        raise UnsupportedError(
            f"{trunk.stages[-1]} puts out {shape} an example; heads are made for (channels,), "
            "(channels, height, width) and what its last Site names: end it with a LocalHead"
        )
    return ("channel", "height", "width")[: len(shape)]
