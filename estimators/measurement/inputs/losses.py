"""A loss function, as users write it, split into examples where that is verified.

A loss splits if it is the mean, or the sum, of the losses of single examples. That is compared,
near the network's weights and in double precision where the loss runs in it. A declaration
(`reduction`) does not tell: class weights, padding and targets of another shape couple examples.
"""

import copy
import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from estimators.core.objective import Chain, Losses
from estimators.measurement.inputs.each_example import Batch, EachExample, InAnyPrecision, Loss
from estimators.measurement.inputs.modules import tensors_in
from estimators.measurement.inputs.nearby import near

COARSE = 0.01
"""Rounding, relative to a loss, in which nothing is verified: that of half precision."""
STEPS = 2.0**12
"""Units of least precision by which two right sums over a batch may differ."""


class Split(NamedTuple):
    """A loss by example, or why there is none."""

    losses: Losses | None
    """(outputs, targets) -> (B,); None if the loss cannot be split."""
    why: str = ""
    """What keeps it one number and what would mend it, in words."""


def chain_of(
    module: nn.Module,
    loss: Loss,
    x: Tensor,
    y: Tensor,
    separable: bool | None = None,
    others: Sequence[Batch] = (),
) -> tuple[Chain, str]:
    """The objective of a loss that gives one value for each example, or one for the batch.

    `separable` as for `measure`: False splits as the loss declares, without a claim. `others` are
    further batches that the objective is to be used on, each of as many examples.

    Returns:
        The objective, and why the loss is not split into examples, "" where it is.
    """
    if separable is False:
        return Chain(module, x, y, _declared(module, loss, x, y), separable=False), ""
    split = split_loss(module, loss, x, y, others)
    if split.losses is None:
        return Chain(module, x, y, _mean_of(loss), separable=False), split.why
    return Chain(module, x, y, split.losses, separable=separable), ""


def _declared(module: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Losses:
    """The losses by `reduction="none"`, if their mean is the loss; else the loss as it is."""
    rows, whole = _rows_of(loss), InAnyPrecision(loss)
    with torch.no_grad():
        output = Chain(module, x, y, loss, separable=False).forward({})
        value = whole(output, y)
        if rows is None or value.ndim:
            return whole
        each = rows(output, y)
        allowed = STEPS * torch.finfo(each.dtype).eps * each.abs().max().item()
        return rows if each.ndim and _close(each.mean(), value, allowed) else whole


def split_loss(
    module: nn.Module, loss: Loss, x: Tensor, y: Tensor, others: Sequence[Batch] = ()
) -> Split:
    """`loss` by example, if it is a constant times the mean of the losses of single examples."""
    whole, factor = InAnyPrecision(loss), None
    single = EachExample(whole)
    places = [_comparison(single, whole, *at) for at in _outputs(module, loss, x, y, others)]
    for place in places:
        if place.alone is None and place.value.ndim:
            return _split_by_itself(whole, place)
        factor = place.factor if factor is None else factor
        if not place.is_mean_times(factor):
            return Split(None, _why(loss, place))
    assert factor is not None
    return Split(_fastest(loss, single.times(factor), places))


class _Comparison(NamedTuple):
    """A loss at some outputs, and the losses of the examples by themselves."""

    output: Any
    y: Tensor
    value: Tensor
    """() or (B,)."""
    alone: Tensor | None
    """(B,); None if the loss takes no batch of one."""

    @property
    def rounding(self) -> float:
        """The relative error of a right sum."""
        return STEPS * torch.finfo(self.value.dtype).eps

    @property
    def allowed(self) -> float:
        """The error of a right mean."""
        assert self.alone is not None
        return self.rounding * self.alone.abs().max().item()

    @property
    def factor(self) -> float:
        """What the mean over single examples is multiplied by: 1, B for a sum, or another."""
        if self.alone is None or self.value.ndim:
            return 1.0
        mean = self.alone.mean().item()
        for factor in (1.0, float(len(self.alone))):
            if self.is_mean_times(factor):
                return factor
        return self.value.item() / mean if mean else 1.0

    def is_mean_times(self, factor: float) -> bool:
        """Whether the loss is that multiple of the mean over single examples, or each of them."""
        if self.alone is None or self.rounding > COARSE:
            return False
        if self.value.ndim:
            return _close(self.value, self.alone, self.allowed)
        mean = factor * self.alone.mean()
        return _close(self.value, mean, self.allowed * max(1.0, abs(factor)))


def _outputs(
    module: nn.Module, loss: Loss, x: Tensor, y: Tensor, others: Sequence[Batch]
) -> Iterator[tuple[Any, Tensor]]:
    """The outputs near the weights and at them."""
    chain = Chain(module, x, y, loss, separable=False)
    own = dict(module.named_parameters())
    with torch.no_grad():
        output = chain.forward(near(own, 0))
        if all(t.isfinite().all() for t in tensors_in(output)):
            yield output, y
        for batch in ((x, y), *others):
            yield chain.on(*batch).forward({}), batch[1]


def _comparison(single: EachExample, loss: Loss, output: Any, y: Tensor) -> _Comparison:
    with torch.no_grad():
        for cast in (_double, lambda t: t):
            o, t = tree_map(cast, output), cast(y)
            try:
                value = loss(o, t)
            except Exception:  # it does not run in double precision
                if cast is not _double:
                    raise
                continue
            return _Comparison(o, t, value, _alone(single, o, t))
    raise AssertionError


def _alone(single: EachExample, output: Any, y: Tensor) -> Tensor | None:
    if not y.ndim or any(not t.ndim or len(t) != len(y) for t in tensors_in(output)):
        return None
    try:
        return single(output, y)
    except Exception:  # it takes no batch of one
        return None


def _split_by_itself(loss: Losses, place: _Comparison) -> Split:
    """A loss of (B,) that takes no batch of one, such as one of pairs.

    Its derivatives tell whether examples are coupled, which `coupled_by` looks at. Here it is asked
    whether it depends on the targets of others.
    """
    y = place.y.roll(1, 0)
    half = torch.arange(len(y), device=y.device) % 2 == 0
    y = torch.where(half.view(-1, *[1] * (y.ndim - 1)), y, place.y)
    with torch.no_grad():
        changed = loss(place.output, y)
    size = STEPS * torch.finfo(changed.dtype).eps * place.value.abs().max().item()
    if not _close(changed[~half], place.value[~half], size):
        why = "the loss of an example depends on the targets of others: let it use its own alone"
        return Split(None, why)
    return Split(loss)


def _fastest(loss: Loss, single: EachExample, places: list[_Comparison]) -> Losses:
    """The losses by `reduction="none"`, if it gives those of single examples; else one by one."""
    if places[0].value.ndim:
        return InAnyPrecision(loss)
    rows = _rows_of(loss)
    if rows is None:
        return single
    scales = []
    for place in places:
        with torch.no_grad():
            each, wanted = rows(place.output, place.y), single(place.output, place.y)
        total = each.sum().item()
        scale = wanted.sum().item() / total if total else 1.0
        whole = round(scale)
        scales.append(float(whole) if abs(scale - whole) < 1e-6 * abs(scale) else scale)
        if not _close(scales[0] * each, wanted, wanted.abs().max().item() * place.rounding):
            return single
    scale = scales[0]
    return rows if scale == 1 else lambda output, y: scale * rows(output, y)


def _rows_of(loss: Loss) -> Losses | None:
    """The loss of each example, its mean over other axes, if `loss` has a `reduction`; else
    None."""
    if isinstance(loss, nn.Module) and isinstance(getattr(loss, "reduction", None), str):
        single: Any = copy.copy(loss)
        single.reduction = "none"
    elif inspect.isfunction(loss) and "reduction" in inspect.signature(loss).parameters:
        single = functools.partial(loss, reduction="none")
    else:
        return None
    each = InAnyPrecision(single)
    return lambda output, y: _rows(each(output, y))


def _rows(values: Tensor) -> Tensor:
    return values if values.ndim <= 1 else values.flatten(1).mean(1)


def _mean_of(loss: Loss) -> Losses:
    precise = InAnyPrecision(loss)
    return lambda output, y: precise(output, y).mean()


def _why(loss: Loss, place: _Comparison) -> str:
    """What keeps the loss from being a mean over examples, as far as that can be told."""
    output, y = place.output, place.y
    each = "give one value for each example, (B,), as with reduction='none'"
    if isinstance(output, Tensor) and y.is_floating_point() and output.shape != y.shape:
        return (
            f"the output has the shape {tuple(output.shape)} and the targets {tuple(y.shape)}, so "
            "that the loss compares each example with the targets of all: give both one shape"
        )
    if place.alone is None:
        return f"the loss does not take a batch of one example: {each}"
    if getattr(loss, "weight", None) is not None or hasattr(loss, "ignore_index"):
        return (
            "the loss divides by a sum over the targets of all examples (class weights, "
            f"ignore_index): {each}"
        )
    return f"the loss of the batch is not the mean of the losses of its single examples: {each}"


def _close(a: Tensor, b: Tensor, allowed: float) -> bool:
    return a.shape == b.shape and bool(((a - b).abs() <= allowed).all())


def _double(t: Any) -> Any:
    return t.double() if isinstance(t, Tensor) and t.is_floating_point() else t
