"""Normalisations: y = x̂ w + b, with x̂ the input at mean 0 and variance 1.

The Jacobian of x̂ by x is symmetric, so that torch's backward kernel moves tangents as well.
"""
# pyright: reportPrivateImportUsage=false

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from estimators.autodiff.operations.operation import (
    Call,
    Entry,
    Gradients,
    Operation,
    Saved,
    Wanted,
    each_of,
    plus,
)

aten = torch.ops.aten


class Normalisation(Operation):
    """What the normalisations share. `saved` begins with x, w and b."""

    @abstractmethod
    def _backward(
        self, saved: Saved, s: Tensor, weight: Tensor | None, mask: list[bool]
    ) -> Gradients:
        """torch's kernel, with this weight."""

    @abstractmethod
    def _normalised(self, saved: Saved) -> Tensor:
        """x̂, shaped as x."""

    @abstractmethod
    def _affine(self, x: Tensor, count: int) -> list[int]:
        """The shape in which a weight, or K of them, multiplies x, or (K, *x)."""

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        """ẏ = (∂x̂/∂x ẋ) w + x̂ ẇ + ḃ."""
        x, weight = saved[0], saved[1]
        y = None
        if x_tangent is not None:
            y = each_of(count, x_tangent, lambda t: self._moved(saved, t))
            y = y if weight is None else y * weight.reshape(self._affine(x, 1))
        if weight_tangent is not None:
            moved = self._normalised(saved) * weight_tangent.reshape(self._affine(x, count))
            y = plus(y, moved)
        if bias_tangent is not None:
            shape = x.shape if count == 1 else (count, *x.shape)
            y = plus(y, bias_tangent.reshape(self._affine(x, count)).expand(shape))
        assert y is not None
        return y

    def _moved(self, saved: Saved, t: Tensor) -> Tensor:
        moved = self._backward(saved, t.contiguous(), None, [True, False, False])[0]
        assert moved is not None
        return moved

    def vjp(self, saved: Saved, signal: Tensor, wanted: Wanted = (True, False, False)) -> Gradients:
        weight, bias = saved[1], saved[2]
        mask = [wanted[0], wanted[1] and weight is not None, wanted[2] and bias is not None]
        found = self._backward(saved, signal.contiguous(), weight, mask)
        x, w, b = (g if asked else None for g, asked in zip(found, mask, strict=True))
        return x, w, b


@dataclass(frozen=True)
class LayerNorm(Normalisation):
    """x̂ over the last axes, of this shape, of each example."""

    shape: tuple[int, ...]
    eps: float

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        y, mean, rstd = torch.native_layer_norm(x, self.shape, weight, bias, self.eps)
        return y, (x, weight, bias, mean, rstd)

    def _backward(
        self, saved: Saved, s: Tensor, weight: Tensor | None, mask: list[bool]
    ) -> Gradients:
        x, _, bias, mean, rstd = saved
        return aten.native_layer_norm_backward.default(
            s, x, self.shape, mean, rstd, weight, bias, mask
        )

    def _normalised(self, saved: Saved) -> Tensor:
        x, _, _, mean, rstd = saved
        return (x - mean) * rstd

    def _affine(self, x: Tensor, count: int) -> list[int]:
        own = [*[1] * (x.ndim - len(self.shape)), *self.shape]
        return own if count == 1 else [count, *own]


class OverChannels(Normalisation):
    """A normalisation of x (B, channels, *space) with a weight for each channel."""

    def accepts(self, x: Tensor) -> bool:
        return x.ndim >= 2

    def _affine(self, x: Tensor, count: int) -> list[int]:
        own = [x.shape[1], *[1] * (x.ndim - 2)]
        return own if count == 1 else [count, 1, *own]


@dataclass(frozen=True)
class GroupNorm(OverChannels):
    """x̂ over each group of channels of each example."""

    groups: int
    eps: float

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        # The kernel reads memory in order, whatever the strides say; F.group_norm copies as well.
        x = x.contiguous()
        weight = None if weight is None else weight.contiguous()
        bias = None if bias is None else bias.contiguous()
        y, mean, rstd = torch.native_group_norm(x, weight, bias, *self._sizes(x), self.eps)
        return y, (x, weight, bias, mean, rstd)

    def _sizes(self, x: Tensor) -> tuple[int, int, int, int]:
        return x.shape[0], x.shape[1], prod(x.shape[2:]), self.groups

    def _backward(
        self, saved: Saved, s: Tensor, weight: Tensor | None, mask: list[bool]
    ) -> Gradients:
        x, _, _, mean, rstd = saved
        return aten.native_group_norm_backward.default(
            s, x, mean, rstd, weight, *self._sizes(x), mask
        )

    def _normalised(self, saved: Saved) -> Tensor:
        x, _, _, mean, rstd = saved
        grouped = x.reshape(x.shape[0], self.groups, -1)
        return ((grouped - mean.unsqueeze(2)) * rstd.unsqueeze(2)).view(x.shape)


@dataclass(frozen=True)
class BatchNorm(OverChannels):
    """x̂ over the batch and space, by the batch's own mean and variance (training mode).

    Running statistics are not updated: an objective reads its network's buffers only.
    """

    eps: float

    def accepts(self, x: Tensor) -> bool:
        return x.ndim >= 2 and x.numel() > x.shape[1]  # torch refuses one value a channel

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        y, mean, rstd = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, self.eps)
        return y, (x, weight, bias, mean, rstd)

    def _backward(
        self, saved: Saved, s: Tensor, weight: Tensor | None, mask: list[bool]
    ) -> Gradients:
        x, _, _, mean, rstd = saved
        return aten.native_batch_norm_backward.default(
            s, x, weight, None, None, mean, rstd, True, self.eps, mask
        )

    def _normalised(self, saved: Saved) -> Tensor:
        x, _, _, mean, rstd = saved
        shape = self._affine(x, 1)
        return (x - mean.view(shape)) * rstd.view(shape)


def _read_layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Call:
    return Call(LayerNorm(tuple(normalized_shape), eps), input, weight, bias)


def _read_group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Call:
    return Call(GroupNorm(num_groups, eps), input, weight, bias)


def _read_batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Call | None:
    return Call(BatchNorm(eps), input, weight, bias) if training else None


def _batch_norm(m: Any) -> BatchNorm | None:
    return BatchNorm(m.eps) if m.training or m.running_mean is None else None


ENTRIES = (
    Entry(
        "layer_norm",
        {F.layer_norm: _read_layer_norm},
        {nn.LayerNorm: lambda m: LayerNorm(tuple(m.normalized_shape), m.eps)},
        parameters=True,
    ),
    Entry(
        "group_norm",
        {F.group_norm: _read_group_norm},
        {nn.GroupNorm: lambda m: GroupNorm(m.num_groups, m.eps)},
        parameters=True,
    ),
    Entry(
        "batch_norm",
        {F.batch_norm: _read_batch_norm},
        {nn.BatchNorm1d: _batch_norm, nn.BatchNorm2d: _batch_norm},
        parameters=True,
    ),
)
