"""`QuickShapes`: results on torch's meta device, without its kernels in Python, which are slow.

The most frequent operations of networks have such kernels: a matrix product takes 400 µs, of which
the shape of its result needs 10. The sizes and types of results are torch's own.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

MEAN, SUM = 1, 2
"""Reductions of a loss, as torch numbers them."""


class QuickShapes(TorchDispatchMode):
    """While this is open, passes on the meta device take less time."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return quick_result(func, args, kwargs or {})


def quick_result(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What `func(*args, **kwargs)` returns, without numbers where all tensors have none."""
    quick = _QUICK.get(func)
    if quick is not None and not kwargs and all(a.is_meta for a in args if isinstance(a, Tensor)):
        result = quick(*args)
        if result is not None:
            return result
    return func(*args, **kwargs)


def _like(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


def _product(_: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return x.new_empty(len(x), y.shape[1])


def _sum(x: Tensor, y: Any) -> Tensor | None:
    is_plain = isinstance(y, Tensor) and y.shape == x.shape and y.dtype == x.dtype
    return torch.empty_like(x) if is_plain else None


def _like_second(_: Tensor, x: Tensor, *__: Any) -> Tensor:
    return torch.empty_like(x)


def _layer_norm(x: Tensor, shape: list[int], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    outer = (*x.shape[: x.ndim - len(shape)], *(1 for _ in shape))
    return _contiguous(x), x.new_empty(outer), x.new_empty(outer)


def _group_norm(
    x: Tensor, _weight: Any, _bias: Any, count: int, _channels: int, _size: int, groups: int,
    _eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return _contiguous(x), x.new_empty(count, groups), x.new_empty(count, groups)


def _contiguous(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _log_probability(
    x: Tensor, y: Tensor, _weight: Any, reduction: int, _ignored: int
) -> tuple[Tensor, Tensor]:
    losses = () if reduction in (MEAN, SUM) or x.ndim < 2 else (len(x),)
    return x.new_empty(losses), x.new_empty(())


_aten = torch.ops.aten
_QUICK: dict[Any, Callable[..., Any]] = {
    _aten.addmm.default: _product,
    _aten.add.Tensor: _sum,
    _aten.relu.default: _like,
    _aten.tanh.default: _like,
    _aten.gelu.default: _like,
    _aten._log_softmax.default: _like,
    _aten._log_softmax_backward_data.default: _like,
    _aten.nll_loss_forward.default: _log_probability,
    _aten.nll_loss_backward.default: _like_second,
    _aten.threshold_backward.default: _like,
    _aten.native_layer_norm.default: _layer_norm,
    _aten.native_group_norm.default: _group_norm,
}
