"""Pools: averages and maxima over windows."""
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
    Operation,
    Saved,
    Wanted,
)
from estimators.autodiff.operations.shapes import LinearFunction, read_linear

aten = torch.ops.aten


@dataclass(frozen=True)
class MaxPool2d(Operation):
    """The largest number of each window of x (B, channels, height, width)."""

    kernel_size: Any
    stride: Any
    padding: Any
    dilation: Any
    ceil_mode: bool

    def accepts(self, x: Tensor) -> bool:
        return x.ndim == 4

    @property
    def _windows(self) -> tuple[Any, ...]:
        stride = self.kernel_size if self.stride is None else self.stride
        return self.kernel_size, stride, self.padding, self.dilation, self.ceil_mode

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        y, indices = aten.max_pool2d_with_indices.default(x, *self._windows)
        return y, (x, indices)

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        """The tangents of the numbers that were picked."""
        assert x_tangent is not None
        picked = saved[1].flatten(2)
        if count > 1:
            picked = picked.expand(count, *picked.shape)
        return x_tangent.flatten(-2).gather(-1, picked).unflatten(-1, saved[1].shape[2:])

    def vjp(self, saved: Saved, signal: Tensor, wanted: Wanted = (True, False, False)) -> Gradients:
        x, indices = saved
        to_x = aten.max_pool2d_with_indices_backward.default(signal, x, *self._windows, indices)
        return to_x, None, None


def _read_max_pool(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Call | None:
    if return_indices:
        return None
    return Call(MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode), input)


def _max_pool(m: Any) -> MaxPool2d | None:
    if m.return_indices:
        return None
    return MaxPool2d(m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode)


def _pool(function: Callable[..., Tensor], *fields: str) -> Callable[[Any], LinearFunction]:
    def read(m: Any) -> LinearFunction:
        return LinearFunction(function, tuple(getattr(m, f) for f in fields), examplewise=True)

    return read


_WINDOWS = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
ENTRIES = (
    Entry(
        "avg_pool1d",
        {torch.avg_pool1d: read_linear(torch.avg_pool1d, True)},
        {nn.AvgPool1d: _pool(torch.avg_pool1d, *_WINDOWS)},
    ),
    Entry(
        "avg_pool2d",
        {F.avg_pool2d: read_linear(F.avg_pool2d, True)},
        {nn.AvgPool2d: _pool(F.avg_pool2d, *_WINDOWS, "divisor_override")},
    ),
    Entry(
        "adaptive_avg_pool1d",
        {F.adaptive_avg_pool1d: read_linear(F.adaptive_avg_pool1d, True)},
        {nn.AdaptiveAvgPool1d: _pool(F.adaptive_avg_pool1d, "output_size")},
    ),
    Entry(
        "adaptive_avg_pool2d",
        {F.adaptive_avg_pool2d: read_linear(F.adaptive_avg_pool2d, True)},
        {nn.AdaptiveAvgPool2d: _pool(F.adaptive_avg_pool2d, "output_size")},
    ),
    Entry("max_pool2d", {F.max_pool2d: _read_max_pool}, {nn.MaxPool2d: _max_pool}),
)
