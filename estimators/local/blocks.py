"""Blocks of a network with heads of their own, as chains that end in local losses."""

import copy
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from estimators.core.contract import Params
from estimators.core.objective import Chain, Losses, Move, Replace
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


class Block(NamedTuple):
    """Consecutive stages of which the first has parameters, and the head behind them."""

    stages: tuple[str, ...]
    units: Units
    """The axes of its output."""
    head: nn.Linear
    names: tuple[str, str]
    """Of the head's weight and bias."""
    brought: bool
    """Whether the head is the network's own."""
    trunk: Chain
    """The stages alone: their output has no head behind it."""
    own: tuple[str, ...]
    """The names of the stages' parameters, without the head."""

    @property
    def sample(self) -> tuple[Tensor, Tensor]:
        """What a chain that is kept holds as its batch: one example."""
        return self.trunk.x, self.trunk.y

    @property
    def name(self) -> str:
        return self.stages[0]

    def losses(self, features: Tensor, head: Params, y: Tensor) -> Tensor:
        """The head's losses of its features (B, features)."""
        weight, bias = (head[name] for name in self.names)
        return self.trunk._losses(nn.functional.linear(features, weight, bias), y)

    @torch.no_grad()
    def loss(self, h: Tensor, heads: Params, y: Tensor) -> Tensor:
        """The head's mean loss at the block's output `h`, ()."""
        return self.losses(pooled(h, self.units), heads, y).mean()

    def head_gradient(self, h: Tensor, heads: Params, y: Tensor) -> tuple[Tensor, Params]:
        """The head's mean loss at the block's output `h`, and its exact gradient by the head."""
        head = {name: heads[name].detach().requires_grad_() for name in self.names}
        with torch.enable_grad():
            loss = self.losses(pooled(h, self.units), head, y).mean()
        grads = torch.autograd.grad(loss, list(head.values()))
        return loss.detach(), dict(zip(head, grads, strict=True))


class LocalChain(Chain):
    """A chain of blocks whose heads' weights are given to it, or stand among the parameters."""

    heads: Params = MappingProxyType({})
    seen: list[Tensor] | None = None
    """What the blocks put out, if a pass at the parameters themselves has shown it."""
    _theta: Params = MappingProxyType({})

    def at(self, x: Tensor, y: Tensor, heads: Params, theta: Params) -> Self:
        """The same blocks on an input of their own, with these heads; `theta` holds the point."""
        other = self.on(x, y)
        other.heads, other._theta, other.seen = heads, theta, None
        return other

    def forward(
        self,
        params: Params,
        *,
        at_site: Replace | None = None,
        at_stage: Replace | None = None,
    ) -> Tensor:
        rests = self.seen is None and self._is_at_rest(params)

        def watched(site: int, z: Tensor) -> Tensor:
            nonlocal rests
            assert at_site is not None
            after = at_site(site, z)
            rests = rests and _same(after, z)
            return after

        site = None if at_site is None else watched
        output = super().forward({**self.heads, **params}, at_site=site, at_stage=at_stage)
        outputs = self._outputs(output)
        if rests:
            with torch._C.DisableTorchFunction():
                self.seen = [forward_ad.unpack_dual(h).primal.detach() for h in outputs]
        return output

    def moved(self, params: Params, move: Move) -> tuple[Self, dict[str, Tensor]]:
        """The heads are read as well, whether or not they stand among the parameters."""
        other = copy.copy(self)
        other.heads, other.seen = move(self.heads), None
        return other, move(params)

    @abstractmethod
    def _outputs(self, output: Tensor) -> list[Tensor]:
        """What the blocks put out in the pass that has just ended."""

    def _is_at_rest(self, params: Params) -> bool:
        """Whether these are the point's numbers themselves, and not moved ones."""
        return all(n in params and _same(params[n], p) for n, p in self._theta.items())


def _same(a: Tensor, b: Tensor) -> bool:
    if torch._C._functorch.is_functorch_wrapped_tensor(a):  # type: ignore[attr-defined]
        return False  # many at once, without an address of their own
    with torch._C.DisableTorchFunction():
        return a.data_ptr() == b.data_ptr() and a.data_ptr() != 0


class HeadChain(LocalChain):
    """Blocks and their heads: L = Σ_b ℓ(head_b(h_b), y). One block's output is (B, outputs)."""

    def __init__(self, chain: Chain, blocks: Sequence[Block]) -> None:
        stages: dict[str, nn.Module] = {}
        taps: list[_Tap] = []
        for block in blocks[:-1]:
            taps.append(_Tap(block))
            stages |= {**_stages(chain, block), name_of_head(block.name): taps[-1]}
        last = blocks[-1]
        stages |= {**_stages(chain, last), name_of_head(last.name): _LastHead(last, taps)}
        count = len(blocks)
        super().__init__(
            nn.Sequential(OrderedDict(stages)),
            *blocks[0].sample,
            chain._losses if count == 1 else _sum_of(chain._losses, count),
            separable=chain.separable,
            views=chain.views,
        )

    def _outputs(self, output: Tensor) -> list[Tensor]:
        return [m.take() for m in self.module.children() if isinstance(m, _Head)]


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
        def of(features: Tensor) -> Tensor:
            return self.block.losses(features, self.heads, self.y)

        return replicated_mean(output, of, Pattern(self.block.units, self.loss_units))

    def _outputs(self, output: Tensor) -> list[Tensor]:
        return [output]


class _Head(nn.Module):
    """A head behind its block, which keeps its input for the end of the pass."""

    _kept: Tensor | None = None

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.linear, self._units = block.head, block.units

    def answer(self, h: Tensor) -> Tensor:
        self._kept = h
        return self.linear(pooled(h, self._units))

    def take(self) -> Tensor:
        kept, self._kept = self._kept, None
        assert kept is not None, "a head has its input before the pass ends"
        return kept


class _Tap(_Head):
    """Lets its input pass; the answer waits for those of later blocks."""

    said: Tensor | None = None

    def forward(self, h: Tensor) -> Tensor:
        self.said = self.answer(h)
        return h


class _LastHead(_Head):
    """The last block's head: (B, outputs), or all answers, (B, blocks, outputs)."""

    def __init__(self, block: Block, earlier: list[_Tap]) -> None:
        super().__init__(block)
        self._earlier = tuple(earlier)

    def forward(self, h: Tensor) -> Tensor:
        answer = self.answer(h)
        if not self._earlier:
            return answer
        said = [tap.said for tap in self._earlier if tap.said is not None]
        for tap in self._earlier:
            tap.said = None
        return torch.stack([*said, answer], 1)


def _sum_of(losses: Losses, count: int) -> Losses:
    def summed(outputs: Tensor, y: Tensor) -> Tensor:
        total = losses(outputs[:, 0], y)
        for i in range(1, count):
            total = total + losses(outputs[:, i], y)
        return total

    return summed


def name_of_head(block: str) -> str:
    """The stage that a block's head is, where blocks and heads are put in a row."""
    return f"head of {block}"


def _stages(chain: Chain, block: Block) -> dict[str, nn.Module]:
    return {name: chain.module.get_submodule(name) for name in block.stages}
