"""How usual functions move a tangent: each rule gives the value and puts its tangent.

A linear map is applied to the tangents as it is, all K of them as one larger batch; an
elementwise function multiplies them with its derivative, in one kernel.
"""
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from estimators.autodiff.jvp_mode import JVPMode, Rule

aten = torch.ops.aten


def linear(c: JVPMode, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b moves by ẋ Wᵀ."""
    t = c.get(input)
    value = c.map(input, weight, bias, F.linear, pull_linear)
    if t is not None:
        c.put(value, F.linear(t, c.plain(weight)))
    return value


def pull_linear(
    s: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """(sᵀ x, the sum of s)."""
    if s.ndim != 2:
        s, x = s.reshape(-1, s.shape[-1]), x.reshape(-1, x.shape[-1])
    return s.t() @ x, None if bias is None else s.sum(0)


class Convolution:
    """A convolution of any dimension, stride, dilation and groups, zeros around."""

    def __init__(
        self, apply: Callable[..., Tensor], dims: int, stride: Any, padding: Any,
        dilation: Any, groups: int,
    ) -> None:  # fmt: skip
        self._apply, self._geometry = apply, (stride, padding, dilation, groups)
        self._each = [_each(n, dims) for n in (stride, padding, dilation)]
        self._rest = (False, [0] * dims, groups)

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._apply(x, weight, bias, *self._geometry)

    def pull(
        self, s: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        sizes, wanted = (None, False) if bias is None else (list(bias.shape), True)
        _, w, b = aten.convolution_backward.default(
            s, x, weight, sizes, *self._each, *self._rest, [False, True, wanted]
        )
        return w, b

    def move(self, t: Tensor, weight: Tensor, count: int) -> Tensor:
        """All tangents as one batch."""
        return _stacked(count, t, lambda v: self._apply(v, weight, None, *self._geometry))


def _convolution(apply: Callable[..., Tensor], dims: int) -> Rule:
    def rule(
        c: JVPMode,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        if isinstance(padding, str) or input.ndim != dims + 2:
            return NotImplemented
        convolution = Convolution(apply, dims, stride, padding, dilation, groups)
        t = c.get(input)
        value = c.map(input, weight, bias, convolution.apply, convolution.pull)
        if t is not None:
            c.put(value, convolution.move(t, c.plain(weight), c.count))
        return value

    return rule


def _each(n: Any, dims: int) -> list[int]:
    return [n] * dims if isinstance(n, int) else list(n) * (dims if len(n) == 1 else 1)


def _stacked(count: int, t: Tensor, apply: Callable[[Tensor], Tensor]) -> Tensor:
    """A map that keeps the batch axis, on K tangents as one batch."""
    if count == 1:
        return apply(t)
    return apply(t.flatten(0, 1)).unflatten(0, (count, -1))


def _each_tangent(count: int, t: Tensor, apply: Callable[[Tensor], Tensor]) -> Tensor:
    return apply(t) if count == 1 else torch.stack([apply(v) for v in t])


def relu(c: JVPMode, input: Tensor, inplace: bool = False) -> Tensor:
    """The tangent passes where the value does."""
    t = c.get(input)
    if t is None:
        return NotImplemented
    moved = aten.threshold_backward.default(t, input.detach(), 0)
    if inplace:
        c.overwrite(input)
        value = torch.relu_(input)
    else:
        value = torch.relu(input)
    c.put(value, moved)
    return value


def _elementwise(
    apply: Callable[..., Tensor], move: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Rule:
    """A function of one argument; move(ṫ, x, y) multiplies with its derivative."""

    def rule(c: JVPMode, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        t = c.get(input)
        if t is None or args or kwargs:
            return NotImplemented
        value = apply(input)
        c.put(value, move(t, input.detach(), value.detach()))
        return value

    return rule


def gelu(c: JVPMode, input: Tensor, approximate: str = "none") -> Tensor:
    t = c.get(input)
    if t is None:
        return NotImplemented
    x, value = input.detach(), F.gelu(input, approximate=approximate)
    c.put(value, aten.gelu_backward.default(t, x.expand_as(t), approximate=approximate))
    return value


def layer_norm(
    c: JVPMode,
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The Jacobian of the normalisation is symmetric: its backward kernel moves tangents too."""
    t = c.get(input)
    if t is None:
        return NotImplemented
    shape = list(normalized_shape)
    value, mean, rstd = torch.native_layer_norm(input, shape, weight, bias, eps)
    x, mean, rstd = input.detach(), mean.detach(), rstd.detach()
    moved = _each_tangent(
        c.count,
        t,
        lambda v: aten.native_layer_norm_backward.default(
            v.contiguous(), x, shape, mean, rstd, None, None, [True, False, False]
        )[0],
    )
    c.put(value, moved if weight is None else moved * c.plain(weight))
    return value


def group_norm(
    c: JVPMode,
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """As layer normalisation, within each group of channels."""
    t = c.get(input)
    if t is None or input.ndim < 2:
        return NotImplemented
    n, channels = input.shape[:2]
    sizes = (n, channels, prod(input.shape[2:]), num_groups)
    whole = input.contiguous()
    value, mean, rstd = torch.native_group_norm(whole, weight, bias, *sizes, eps)
    x, mean, rstd = whole.detach(), mean.detach(), rstd.detach()
    moved = _each_tangent(
        c.count,
        t,
        lambda v: aten.native_group_norm_backward.default(
            v.contiguous(), x, mean, rstd, None, *sizes, [True, False, False]
        )[0],
    )
    if weight is not None:
        moved = moved * c.plain(weight).view(-1, *[1] * (input.ndim - 2))
    c.put(value, moved)
    return value


def _linear_in_place_of(apply: Callable[..., Tensor], batched: bool = False) -> Rule:
    """A function that is linear in its first argument alone: it moves tangents as values."""
    each = _stacked if batched else _each_tangent

    def rule(c: JVPMode, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        t = c.get(input)
        if t is None or kwargs.get("out") is not None:
            return NotImplemented
        if any(c.get(a) is not None for a in args):
            return NotImplemented
        value = apply(input, *args, **kwargs)
        c.put(value, each(c.count, t, lambda v: apply(v, *args, **kwargs)))
        return value

    return rule


def add(c: JVPMode, input: Any, other: Any, **kwargs: Any) -> Tensor:
    """Both move."""
    t, s = c.get(input), c.get(other)
    if kwargs or (t is None and s is None):
        return NotImplemented
    value = torch.add(input, other)
    if t is not None and s is not None and t.shape == s.shape:
        moved = t + s
    elif s is None and t is not None and t.shape[-value.ndim :] == value.shape:
        moved = t
    elif t is None and s is not None and s.shape[-value.ndim :] == value.shape:
        moved = s
    else:
        return NotImplemented
    c.put(value, moved)
    return value


def _flatten(c: JVPMode, input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    t = c.get(input)
    if t is None:
        return NotImplemented
    value = torch.flatten(input, start_dim, end_dim)
    c.put(value, t.reshape(value.shape if c.count == 1 else (c.count, *value.shape)))
    return value


def _reshape(apply: Callable[..., Tensor]) -> Rule:
    def rule(c: JVPMode, input: Tensor, *shape: Any, **kwargs: Any) -> Tensor:
        t = c.get(input)
        if t is None or kwargs or any(isinstance(n, torch.dtype) for n in shape):
            return NotImplemented
        value = apply(input, *shape)
        c.put(value, t.reshape(value.shape if c.count == 1 else (c.count, *value.shape)))
        return value

    return rule


_TANH = _elementwise(torch.tanh, lambda t, x, y: aten.tanh_backward.default(t, y))
_SIGMOID = _elementwise(torch.sigmoid, lambda t, x, y: aten.sigmoid_backward.default(t, y))

RULES: dict[Any, Rule] = {
    F.linear: linear,
    torch.conv1d: _convolution(torch.conv1d, 1),
    torch.conv2d: _convolution(torch.conv2d, 2),
    torch.conv3d: _convolution(torch.conv3d, 3),
    F.relu: relu,
    torch.relu: relu,
    Tensor.relu: relu,
    torch.tanh: _TANH,
    Tensor.tanh: _TANH,
    F.tanh: _TANH,
    torch.sigmoid: _SIGMOID,
    Tensor.sigmoid: _SIGMOID,
    F.gelu: gelu,
    F.layer_norm: layer_norm,
    F.group_norm: group_norm,
    F.avg_pool2d: _linear_in_place_of(F.avg_pool2d, batched=True),
    F.adaptive_avg_pool2d: _linear_in_place_of(F.adaptive_avg_pool2d, batched=True),
    torch.flatten: _flatten,
    Tensor.flatten: _flatten,
    Tensor.view: _reshape(Tensor.view),
    Tensor.reshape: _reshape(Tensor.reshape),
    torch.transpose: _linear_in_place_of(torch.transpose),
    Tensor.transpose: _linear_in_place_of(torch.transpose),
    Tensor.permute: _linear_in_place_of(Tensor.permute),
    Tensor.mean: _linear_in_place_of(Tensor.mean),
    Tensor.sum: _linear_in_place_of(Tensor.sum),
    Tensor.add: add,
    Tensor.__add__: add,
    Tensor.__radd__: add,
    torch.add: add,
}
"""What torch's functions do to tangents; any other function runs on dual numbers."""
