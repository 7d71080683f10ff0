"""Blocks of a network with heads of their own, as chains that end in local losses."""

import copy
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from estimators.core.contract import Params
from estimators.core.objective import Chain, Losses, Move, Replace, RunStage
from estimators.core.plain_pass import is_same, version_of
from estimators.core.structure import is_uncoupled
from estimators.local._heads import PooledLinear
from estimators.local._replicated import Pattern, pooled, replicated_mean

Units = tuple[str, ...]


class LocalHead(nn.Module):
    """Identity at the end of a stage that carries the stage's own linear readout.

    `units` names the axes of the stage's output behind the batch. The readout sees the mean
    over patches (or height and width), flattened.
    """

    def __init__(self, features: int, outputs: int, units: Units = ("channel",)) -> None:
        super().__init__()
        self.linear = nn.Linear(features, outputs)
        self.units = units

    def forward(self, h: Tensor) -> Tensor:
        return h

    def extra_repr(self) -> str:
        return ", ".join(self.units)


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive stages of which the first has parameters, and the head behind them."""

    stages: tuple[str, ...]
    units: Units
    """The axes of its output."""
    head: nn.Module
    """From the block's output to (B, columns); (B, T, columns) with a target a position."""
    names: tuple[str, ...]
    """Of the head's parameters, in their order."""
    losses: Losses
    """Of what the head puts out."""
    columns: int
    """Numbers that the head puts out for an example."""
    brought: bool
    """Whether the head is the network's own."""
    trunk: Chain
    """The stages alone: their output has no head behind it."""
    own: tuple[str, ...]
    """The names of the stages' parameters, without the head."""
    couples: bool = False
    """Whether its loss couples the examples of a batch."""

    @property
    def sample(self) -> tuple[Tensor, Tensor]:
        """The batch of a chain that is kept: two examples."""
        return self.trunk.x, self.trunk.y

    @property
    def name(self) -> str:
        return self.stages[0]

    def answer(self, h: Tensor, heads: Params) -> Tensor:
        """What the head puts out for the block's output `h`, with its weights among `heads`."""
        if isinstance(self.head, PooledLinear):
            return self.read(pooled(h, self.units), heads)
        own = (name for name, _ in self.head.named_parameters())
        weights = {name: heads[full] for name, full in zip(own, self.names, strict=True)}
        return torch.func.functional_call(self.head, weights, (h,))

    def read(self, features: Tensor, heads: Params) -> Tensor:
        """The same from the features (B, features) of a linear head."""
        weight, bias = (heads[name] for name in self.names)
        return nn.functional.linear(features, weight, bias)

    @torch.no_grad()
    def loss(self, h: Tensor, heads: Params, y: Tensor) -> Tensor:
        """The head's mean loss at the block's output `h`, ()."""
        return self.losses(self.answer(h, heads), y).mean()

    def head_gradient(self, h: Tensor, heads: Params, y: Tensor) -> tuple[Tensor, Params]:
        """The head's mean loss at the block's output `h`, and its exact gradient by the head."""
        head = {name: heads[name].detach().requires_grad_() for name in self.names}
        with torch.enable_grad():
            loss = self.losses(self.answer(h, head), y).mean()
        grads = torch.autograd.grad(loss, list(head.values()))
        return loss.detach(), dict(zip(head, grads, strict=True))


class LocalChain(Chain):
    """A chain of blocks whose heads' weights are given to it, or are among the parameters."""

    heads: Params = MappingProxyType({})
    outputs: list[Tensor] | None = None
    """What the blocks put out at the point `theta`, once a pass at these parameters has run."""
    _theta: Params = MappingProxyType({})
    _versions: tuple[int, ...] = ()

    def at(self, x: Tensor, y: Tensor, heads: Params, theta: Params) -> Self:
        """The same blocks on an input of their own, with these heads; `theta` is the point."""
        other = self.on(x, y)
        other.heads, other._theta, other.outputs = heads, theta, None
        other._versions = tuple(p._version for p in theta.values())
        return other

    def forward(
        self,
        params: Params,
        *,
        at_site: Replace | None = None,
        at_stage: Replace | None = None,
        run_stage: RunStage | None = None,
    ) -> Tensor:
        unchanged = self.outputs is None and self._is_point(params)

        def watched(replace: Replace | None) -> Replace | None:
            def run(place: int, z: Tensor) -> Tensor:
                nonlocal unchanged
                assert replace is not None
                if not unchanged:
                    return replace(place, z)
                version = version_of(z)
                after = replace(place, z)
                unchanged = is_same(after, z) and version_of(z) == version
                return after

            return None if replace is None else run

        output = super().forward(
            {**self.heads, **params},
            at_site=watched(at_site),
            at_stage=watched(at_stage),
            run_stage=run_stage,
        )
        outputs = self._block_outputs(output)
        if unchanged:
            with torch._C.DisableTorchFunction():
                self.outputs = [forward_ad.unpack_dual(h).primal.detach() for h in outputs]
        return output

    def moved(self, params: Params, move: Move) -> tuple[Self, dict[str, Tensor]]:
        """The heads are read as well, whether or not they are among the parameters."""
        other = copy.copy(self)
        other.heads, other._theta, other.outputs = move(self.heads), {}, None
        return other, move(params)

    @abstractmethod
    def _block_outputs(self, output: Tensor) -> list[Tensor]:
        """What the blocks put out in the pass that has just ended."""

    def _is_point(self, params: Params) -> bool:
        """Whether these parameters are the point's own numbers, unchanged since `at`."""
        return bool(self._theta) and all(
            n in params and is_same(params[n], p) and version_of(p) == version
            for (n, p), version in zip(self._theta.items(), self._versions, strict=True)
        )


class HeadChain(LocalChain):
    """Blocks and their heads: L = Σ_b ℓ(head_b(h_b), y), on the heads' outputs side by side."""

    def __init__(self, chain: Chain, blocks: Sequence[Block]) -> None:
        stages: dict[str, nn.Module] = {}
        taps: list[_Tap] = []
        for block in blocks[:-1]:
            taps.append(_Tap(block))
            stages |= {**_stages(chain, block), name_of_head(block.name): taps[-1]}
        last, uncoupled = blocks[-1], chain.separable and all(is_uncoupled(b.head) for b in blocks)
        stages |= {**_stages(chain, last), name_of_head(last.name): _LastHead(last, taps)}
        super().__init__(
            nn.Sequential(OrderedDict(stages)),
            *blocks[0].sample,
            last.losses if len(blocks) == 1 else _sum_of(blocks),
            separable=uncoupled and not any(b.couples for b in blocks),
            views=chain.views,
        )

    def _block_outputs(self, output: Tensor) -> list[Tensor]:
        return [m.take_input() for m in self.module.children() if isinstance(m, _Head)]


class UnitChain(LocalChain):
    """One block, with a loss for each patch and group: (B, *units).

    Their mean is the head's loss, in value and derivative; each passes through its own unit
    alone, so that a forward-mode coefficient has the noise of its unit and no other's.
    """

    def __init__(self, chain: Chain, block: Block, per: Units) -> None:
        super().__init__(
            nn.Sequential(OrderedDict(_stages(chain, block))),
            *block.sample,
            chain._losses,
            separable=True,
            loss_units=per,
            views=chain.views,
        )
        self.block = block

    def losses(self, output: Tensor) -> Tensor:
        def head_losses(features: Tensor) -> Tensor:
            return self.block.losses(self.block.read(features, self.heads), self.y)

        return replicated_mean(output, head_losses, Pattern(self.block.units, self.loss_units))

    def _block_outputs(self, output: Tensor) -> list[Tensor]:
        return [output]


class _Head(nn.Module):
    """A head behind its block, which keeps its input for the end of the pass."""

    _input: Tensor | None = None

    def __init__(self, block: Block) -> None:
        super().__init__()
        for name, part in block.head.named_children():  # its parameters are named as the block says
            self.add_module(name, part)
        self._run = block.head.forward

    def answer(self, h: Tensor) -> Tensor:
        """What the head puts out for its block's output."""
        self._input = h
        return self._run(h)

    def take_input(self) -> Tensor:
        """The block's output in the last pass, which is then forgotten."""
        h, self._input = self._input, None
        assert h is not None, "a head has its input before the pass ends"
        return h


class _Tap(_Head):
    """Passes its input on; its prediction waits for those of later blocks."""

    prediction: Tensor | None = None

    def forward(self, h: Tensor) -> Tensor:
        self.prediction = self.answer(h)
        return h


class _LastHead(_Head):
    """The last block's head: what all heads put out, side by side, (B, …, Σ_b columns)."""

    def __init__(self, block: Block, earlier: list[_Tap]) -> None:
        super().__init__(block)
        self._earlier = tuple(earlier)

    def forward(self, h: Tensor) -> Tensor:
        last = self.answer(h)
        if not self._earlier:
            return last
        earlier = [tap.prediction for tap in self._earlier if tap.prediction is not None]
        for tap in self._earlier:
            tap.prediction = None
        return torch.cat([*earlier, last], -1)


def _sum_of(blocks: Sequence[Block]) -> Losses:
    """The losses of all heads: one for each example, or one number where one of them is."""

    def summed(outputs: Tensor, y: Tensor) -> Tensor:
        parts = outputs.split([block.columns for block in blocks], -1)
        terms = [block.losses(part, y) for block, part in zip(blocks, parts, strict=True)]
        if any(term.ndim == 0 for term in terms):
            terms = [term.mean() for term in terms]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    return summed


def name_of_head(block: str) -> str:
    """The name of a head as a stage, in a chain of blocks and their heads."""
    return f"head of {block}"


def _stages(chain: Chain, block: Block) -> dict[str, nn.Module]:
    return {name: chain.module.get_submodule(name) for name in block.stages}
