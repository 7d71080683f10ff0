"""⟨t_u, s_u⟩ by forward mode alone: one JVP for each unit, several stacked where they are small."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from estimators.autodiff.block_pass import BlockPass, push, push_to_losses
from estimators.core.contract import Params
from estimators.guess._auxiliaries import Auxiliary
from estimators.guess._projection import Vectors
from estimators.guess._units import Unit, is_by_example, output_tangents

Target = Literal["global", "local", "look_ahead"]
"""Whose gradient is wanted: the network's loss, the block's auxiliary loss, or the next block's."""

End = tuple[BlockPass, int, Vectors, Unit]
"""A block of a pass, and its guess."""

_NONE = torch.empty(0)
"""The slopes of a block whose parameters are all frozen."""
MAX_STACKED = 2**25
"""Numbers in the tangents that are pushed forward together: 128 MiB in float32."""


def slopes(
    run: BlockPass,
    guesses: Sequence[Vectors],
    unit: Unit,
    target: Target,
    auxiliaries: Sequence[Auxiliary],
    weights: Params,
) -> list[dict[str, Tensor]]:
    """⟨t_u, s_u⟩ of each unit of each block: () for a tensor, (B,) by example."""
    ends: list[End] = [(run, b, guess, unit) for b, guess in enumerate(guesses)]
    if target == "global":
        moved = _stacked(run, ends) if _fit(run, guesses, unit) else _in_turn(run, ends)
    else:
        moved = [_nearby(run, b, output_tangents(*ends[b]), target, auxiliaries, weights)
                 if guess else _NONE for b, guess in enumerate(guesses)]  # fmt: skip
    return [
        dict(zip(guess, _per_unit(rows, unit), strict=True))
        for guess, rows in zip(guesses, moved, strict=True)
    ]


def _per_unit(rows: Tensor, unit: Unit) -> Sequence[Tensor]:
    """Slopes of each example's loss, (K, B), or of the loss, (K,), as those of the mean loss."""
    if rows.ndim == 1:
        return rows.unbind()
    mean = rows / rows.shape[1]
    return mean.unbind() if is_by_example(unit) else mean.sum(1).unbind()


def _fit(run: BlockPass, guesses: Sequence[Vectors], unit: Unit) -> bool:
    """Whether the tangents of all units may be in memory together."""
    sizes = [max(h.numel(), run.outputs[-1].numel()) for h in run.outputs]
    held, most = 0, 0
    for guess, size in zip(guesses, sizes, strict=True):
        held += len(guess)
        most = max(most, held * size)
    return most <= MAX_STACKED


def _stacked(run: BlockPass, ends: Sequence[End]) -> Sequence[Tensor]:
    """All tangents in one pass; a block adds its own to those that come from before."""
    stack: Tensor | None = None
    for b, end in enumerate(ends):
        if stack is not None:
            stack = push(run.parts[b], run.params, run.inputs[b], run.y, stack)
        if end[2]:
            own = output_tangents(*end)
            stack = own if stack is None else torch.cat([stack, own])
    if stack is None:
        return [_NONE] * len(ends)
    return _to_loss(run, stack).split([len(end[2]) for end in ends])


def _in_turn(run: BlockPass, ends: Sequence[End]) -> Sequence[Tensor]:
    """The tangents of one block after those of another."""
    rows = []
    for b, end in enumerate(ends):
        stack = output_tangents(*end) if end[2] else _NONE
        parts = []
        for tangent in stack.split(1) if len(stack) else ():
            for later in range(b + 1, len(ends)):
                tangent = push(run.parts[later], run.params, run.inputs[later], run.y, tangent)
            parts.append(_to_loss(run, tangent))
        rows.append(torch.cat(parts) if parts else _NONE)
    return rows


def _to_loss(run: BlockPass, stack: Tensor) -> Tensor:
    return push_to_losses(run.parts[-1], run.params, run.inputs[-1], run.y, stack)


def _nearby(
    run: BlockPass,
    block: int,
    stack: Tensor,
    target: Target,
    auxiliaries: Sequence[Auxiliary],
    weights: Params,
) -> Tensor:
    """Slopes of the block's own auxiliary loss, or of the next block's; the last block's next is
    the network's own loss."""
    end = block
    if target == "look_ahead":
        end = block + 1
        if end == len(auxiliaries):
            return _to_loss(run, stack)
        stack = push(run.parts[end], run.params, run.inputs[end], run.y, stack)
    auxiliary = auxiliaries[end]
    return push_to_losses(auxiliary.chain, weights, run.outputs[end], run.y, stack)
