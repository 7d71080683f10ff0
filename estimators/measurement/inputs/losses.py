"""A loss function, as users write it, made into an objective: by example where that is possible."""

import copy
import functools
import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from estimators.core.objective import Chain, Losses


def chain_of(
    module: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    separable: bool | None = None,
) -> Chain:
    """The objective of a loss that gives one value for each example, or their mean.

    A mean is split into examples where the loss has `reduction="none"`. Otherwise the loss stays
    one number, and the objective is not separable.
    """
    whole = Chain(module, x, y, loss, separable=False)
    with torch.no_grad():
        output = whole.forward({})
        value = loss(output, y)
        if value.shape == (len(x),):
            return Chain(module, x, y, loss, separable=separable)
        split = _split(loss)
        if split is not None and value.ndim == 0:
            each = split(output, y)
            if each.shape == (len(x),) and torch.allclose(each.mean(), value, rtol=1e-4):
                return Chain(module, x, y, split, separable=separable)
    return whole


def _split(loss: Callable[[Tensor, Tensor], Tensor]) -> Losses | None:
    """The loss of each example, its mean over other axes, if `loss` has a `reduction`; else
    None."""
    if isinstance(loss, nn.Module) and isinstance(getattr(loss, "reduction", None), str):
        single = copy.copy(loss)
        single.reduction = "none"  # type: ignore[assignment]
    elif inspect.isfunction(loss) and "reduction" in inspect.signature(loss).parameters:
        single = functools.partial(loss, reduction="none")
    else:
        return None
    return lambda output, y: _rows(single(output, y))


def _rows(values: Tensor) -> Tensor:
    return values if values.ndim <= 1 else values.flatten(1).mean(1)
