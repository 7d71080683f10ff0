"""A network divided into blocks that end in heads of their own."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from estimators.autodiff.block_pass import outputs_of_blocks, refuse_tied
from estimators.auxiliary.networks import share_of_products
from estimators.core.contract import UnsupportedError
from estimators.core.objective import Chain
from estimators.core.structure import PerNetwork
from estimators.local._heads import MadeHeads, PooledLinear, first_head
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
        """The same with the weights that they have before the first step."""
        heads = {}
        for block in self.made():
            heads |= zip(block.names, first_head(block.head, rng), strict=True)
        return heads

    @cached_property
    def share_of_heads(self) -> float:
        """Multiplications of the heads that are made, as a share of the network's own."""
        weights = self.blank_heads()
        ends: list[Tensor] = []

        def network() -> None:
            ends.extend(block.trunk.forward({}) for block in self.blocks)
            self.readout.forward({})

        def heads() -> None:
            for block, h in zip(self.blocks, ends, strict=True):
                if not block.brought:
                    block.answer(h, weights)

        return share_of_products(heads, network)


_PLANS = PerNetwork[Plan]()


def plan(chain: Chain, greedy: bool, per: Units, heads: MadeHeads) -> Plan:
    """The chain's blocks, worked out once for each network.

    Args:
        chain: The network.
        greedy: Each block is a segment of its own; else all blocks are one segment.
        per: Units that have losses of their own, in greedy segments whose network names them.
        heads: Those that are made where the network brings none.
    """
    key = (greedy, per, heads)
    return _PLANS.get_or_make(chain, key, lambda: _divide(chain, greedy, per, heads))


def _divide(chain: Chain, greedy: bool, per: Units, heads: MadeHeads) -> Plan:
    *groups, last = chain.blocks
    refuse_tied(chain)
    ends, output = outputs_of_blocks(chain, positions=True)
    few = chain.on(chain.x[:2].clone(), chain.y[:2].clone())  # batch norm refuses one alone
    inputs = [few.x, *(torch.zeros_like(h[:2]) for h in ends)]
    blocks = [
        _block(few.part(group).on(x, few.y), h[:2], output, heads)
        for group, x, h in zip(groups, inputs[:-1], ends, strict=True)
    ]
    members = tuple((block,) for block in blocks) if greedy else (tuple(blocks),)
    return Plan(
        tuple(_segment(chain, m, per) for m in members),
        members,
        chain.part(last).on(inputs[-1], few.y),
    )


def _segment(chain: Chain, members: tuple[Block, ...], per: Units) -> LocalChain:
    block = members[0]
    units = tuple(u for u in block.units if u in per) if block.brought else ()
    if units and chain.separable and len(members) == 1:
        return UnitChain(chain, block, units)
    return HeadChain(chain, members)


def _block(trunk: Chain, h: Tensor, output: tuple[int, ...], heads: MadeHeads) -> Block:
    """The block that ends in `h`, (B, *units), of a network whose output is (B, *output)."""
    stages, shape = trunk.stages, tuple(h.shape[1:])
    own = [name for name, _ in trunk.module.named_parameters()]
    for name, module in trunk.module.named_modules():
        if isinstance(module, LocalHead):
            head = PooledLinear(module.linear, module.units)
            names = tuple(f"{name}.{n}" for n, _ in head.named_parameters())
            rest = tuple(n for n in own if n not in names)
            losses, columns = trunk._losses, module.linear.out_features
            return Block(stages, module.units, head, names, losses, columns, True, trunk, rest)
    units = _units(trunk, shape)
    try:
        head, losses = heads.module(h, units, output), heads.losses(trunk, output[-1])
    except UnsupportedError as error:
        text = f"no head can be made for {stages[0]}: {error}"
        raise UnsupportedError(text, network=error.network) from error
    names = tuple(f"{name_of_head(stages[0])}.{n}" for n, _ in head.named_parameters())
    with torch.no_grad():
        columns = head(h).shape[-1]
    couples = heads.loss != "prediction"
    return Block(stages, units, head, names, losses, columns, False, trunk, tuple(own), couples)


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
