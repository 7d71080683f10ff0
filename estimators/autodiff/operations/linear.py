"""Maps that are linear in their input and in their weight: y = x Wᵀ + b, and convolutions."""
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from estimators.autodiff.operations.operation import (
    Call,
    Entry,
    Gradients,
    Map,
    Saved,
    Wanted,
    plus,
    stacked,
)

aten = torch.ops.aten


class Linear(Map):
    """y = x Wᵀ + b, for x (..., in), W (out, in) and b (out,)."""

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        assert weight is not None
        return F.linear(x, weight, bias), (x, weight, bias)

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        """ẏ = ẋ Wᵀ + x Ẇᵀ + ḃ."""
        x, weight, _ = saved
        y = None if x_tangent is None else F.linear(x_tangent, weight)
        if weight_tangent is not None:
            y = plus(y, _with_weights(x, weight_tangent, count))
        if bias_tangent is not None:
            shape = (*x.shape[:-1], len(weight))
            y = plus(y, _over_examples(bias_tangent, shape, count, axis=-1))
        assert y is not None
        return y

    def vjp(self, saved: Saved, signal: Tensor, wanted: Wanted = (True, False, False)) -> Gradients:
        """(s W, sᵀ x, Σ s)."""
        x, weight, bias = saved
        to_x = signal @ weight if wanted[0] else None
        s = signal
        if s.ndim != 2:
            s, x = s.reshape(-1, s.shape[-1]), x.reshape(-1, x.shape[-1])
        to_bias = s.sum(0) if wanted[2] and bias is not None else None
        return to_x, s.t() @ x if wanted[1] else None, to_bias


def _with_weights(x: Tensor, weights: Tensor, count: int) -> Tensor:
    """x W_kᵀ for each of K weights, (K, ..., out): one product with all of their rows."""
    if count == 1:
        return F.linear(x, weights)
    return F.linear(x, weights.flatten(0, 1)).unflatten(-1, (count, -1)).movedim(-2, 0)


def _over_examples(bias: Tensor, shape: tuple[int, ...], count: int, axis: int) -> Tensor:
    """A bias (n,) or K of them, (K, n), as they are added along `axis` of y."""
    sizes = [1] * len(shape)
    sizes[axis] = shape[axis]
    if count == 1:
        return bias.reshape(sizes).expand(shape)
    return bias.reshape(count, *sizes).expand(count, *shape)


@dataclass(frozen=True)
class Convolution(Map):
    """A convolution in one to three dimensions of x (B, channels, *space), padded with zeros."""

    dims: int
    stride: Any
    padding: Any
    dilation: Any
    groups: int

    def accepts(self, x: Tensor) -> bool:
        return x.ndim == self.dims + 2

    @property
    def _geometry(self) -> tuple[Any, ...]:
        return (
            _each(self.stride, self.dims),
            _each(self.padding, self.dims),
            _each(self.dilation, self.dims),
            False,
            (0,) * self.dims,
            self.groups,
        )

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        assert weight is not None
        geometry = self._geometry
        return torch.convolution(x, weight, bias, *geometry), (x, weight, bias, geometry)

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        """ẏ = ẋ ∗ w + x ∗ ẇ + ḃ; K tangents ẋ go through as one batch of K·B examples."""
        x, weight, _, geometry = saved
        y = None
        if x_tangent is not None:
            apply = lambda t: torch.convolution(t, weight, None, *geometry)  # noqa: E731
            y = stacked(count, x_tangent, apply)
        if weight_tangent is not None:
            y = plus(y, self._with_weights(x, weight_tangent, geometry, count))
        if bias_tangent is not None:
            sizes = (-1, *[1] * self.dims)
            shaped = bias_tangent.reshape(sizes if count == 1 else (count, 1, *sizes))
            if y is None:  # the shape of y is not known without a convolution
                y = torch.convolution(torch.zeros_like(x), weight, None, *geometry)
            y = y + shaped
        assert y is not None
        return y

    def _with_weights(
        self, x: Tensor, weights: Tensor, geometry: tuple[Any, ...], count: int
    ) -> Tensor:
        if count == 1:
            return torch.convolution(x, weights, None, *geometry)
        if self.groups == 1:
            y = torch.convolution(x, weights.flatten(0, 1), None, *geometry)
            return y.unflatten(1, (count, -1)).movedim(1, 0)
        return torch.stack([torch.convolution(x, w, None, *geometry) for w in weights])

    def vjp(self, saved: Saved, signal: Tensor, wanted: Wanted = (True, False, False)) -> Gradients:
        x, weight, bias, geometry = saved
        sizes = None if bias is None else [len(bias)]
        mask = [wanted[0], wanted[1], wanted[2] and bias is not None]
        return aten.convolution_backward.default(signal, x, weight, sizes, *geometry, mask)


def _each(size: Any, dims: int) -> tuple[int, ...]:
    """One number for every dimension, as torch reads 2, (2,) and (2, 2)."""
    if isinstance(size, int):
        return (size,) * dims
    return tuple(size) * (dims if len(size) == 1 else 1)


LINEAR = Linear()


def _read_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Call | None:
    return Call(LINEAR, input, weight, bias) if weight.ndim == 2 else None


def _read_convolution(dims: int) -> Callable[..., Call | None]:
    def read(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Call | None:
        if isinstance(padding, str):
            return None
        return Call(Convolution(dims, stride, padding, dilation, groups), input, weight, bias)

    return read


def _of_module(m: Any) -> Convolution | None:
    if isinstance(m.padding, str) or m.padding_mode != "zeros":
        return None
    return Convolution(len(m.stride), m.stride, m.padding, m.dilation, m.groups)


ENTRIES = (
    Entry("linear", {F.linear: _read_linear}, {nn.Linear: lambda m: LINEAR}, parameters=True),
    Entry("conv1d", {torch.conv1d: _read_convolution(1)}, {nn.Conv1d: _of_module}, parameters=True),
    Entry("conv2d", {torch.conv2d: _read_convolution(2)}, {nn.Conv2d: _of_module}, parameters=True),
    Entry("conv3d", {torch.conv3d: _read_convolution(3)}, {nn.Conv3d: _of_module}, parameters=True),
)
