"""Functions that move or add numbers: identity, shapes, permutations, means and sums."""
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from estimators.autodiff.operations.operation import (
    Call,
    Entry,
    Gradients,
    LinearInInput,
    Operation,
    Saved,
    Wanted,
    plus,
)
from estimators.core.site import Site

aten = torch.ops.aten


class Identity(LinearInInput):
    """y = x."""

    def apply(self, x: Tensor) -> Tensor:
        return x

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        assert x_tangent is not None
        return x_tangent

    def transpose(self, shape: torch.Size, signal: Tensor) -> Tensor:
        return signal


@dataclass(frozen=True)
class Reshape(LinearInInput):
    """The same numbers in the same order, in another shape."""

    function: Callable[[Tensor], Tensor]
    examplewise: bool = False

    def apply(self, x: Tensor) -> Tensor:
        return self.function(x)

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        y = self.function(x)
        return y, (x.shape, y.shape)

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        assert x_tangent is not None
        return x_tangent.reshape(saved[1] if count == 1 else (count, *saved[1]))

    def transpose(self, shape: torch.Size, signal: Tensor) -> Tensor:
        return signal.reshape(shape)


@dataclass(frozen=True)
class LinearFunction(LinearInInput):
    """A torch function that is linear in its first argument: a pool, a mean, a permutation."""

    function: Callable[..., Tensor]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    examplewise: bool = False

    def apply(self, x: Tensor) -> Tensor:
        return self.function(x, *self.args, **self.kwargs)

    def transpose(self, shape: torch.Size, signal: Tensor) -> Tensor:
        """By autograd, at any point: a linear function has the same derivative everywhere."""
        with torch.enable_grad():
            x = signal.new_zeros(shape).requires_grad_()
            y = self.apply(x)
        return torch.autograd.grad(y, x, signal)[0]


@dataclass(frozen=True)
class Add(Operation):
    """y = x + w, or x + a number; each is repeated along the axes that it lacks."""

    number: Any = None

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        y = torch.add(x, self.number if weight is None else weight)
        return y, (x.shape, None if weight is None else weight.shape, y.shape)

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        given = (x_tangent, weight_tangent)
        a, b = (None if t is None else _repeated(t, saved[2], count) for t in given)
        y = plus(a, b)
        assert y is not None
        return y

    def vjp(self, saved: Saved, signal: Tensor, wanted: Wanted = (True, False, False)) -> Gradients:
        to_x = signal.sum_to_size(saved[0]) if wanted[0] else None
        to_w = signal.sum_to_size(saved[1]) if wanted[1] and saved[1] is not None else None
        return to_x, to_w, None


def _repeated(t: Tensor, shape: torch.Size, count: int) -> Tensor:
    """A tangent, or K of them, repeated to the shape of y."""
    if count == 1:
        return t if t.shape == shape else t.expand(shape)
    missing = len(shape) + 1 - t.ndim
    return t.reshape(count, *[1] * missing, *t.shape[1:]).expand(count, *shape)


IDENTITY = Identity()
FLATTEN = Reshape(lambda x: torch.flatten(x, 1), examplewise=True)


def flatten(start_dim: int = 0, end_dim: int = -1) -> Reshape:
    if (start_dim, end_dim) == (1, -1):
        return FLATTEN
    return Reshape(lambda x: torch.flatten(x, start_dim, end_dim))


def _read_flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Call:
    return Call(flatten(start_dim, end_dim), input)


def _read_reshape(function: Callable[..., Tensor]) -> Callable[..., Call | None]:
    def read(input: Tensor, *shape: Any, **others: Any) -> Call | None:
        if others or any(isinstance(n, torch.dtype) for n in shape):
            return None  # another dtype is another reading of the bits
        return Call(Reshape(lambda x: function(x, *shape)), input)

    return read


def read_linear(
    function: Callable[..., Tensor], examplewise: bool = False
) -> Callable[..., Call | None]:
    """How a call of a function that is linear in its first argument is read."""

    def read(input: Tensor, *args: Any, **kwargs: Any) -> Call | None:
        if kwargs.get("out") is not None:
            return None
        return Call(LinearFunction(function, args, kwargs, examplewise), input)

    return read


def _read_add(input: Any, other: Any, **others: Any) -> Call | None:
    if others:
        return None
    if not isinstance(input, Tensor):
        input, other = other, input
    if isinstance(other, Tensor):
        return Call(Add(), input, other)
    return Call(Add(other), input)


_read_sum, _read_mean = read_linear(torch.sum), read_linear(torch.mean)

ENTRIES = (
    Entry("identity", {}, {nn.Identity: lambda m: IDENTITY, Site: lambda m: IDENTITY}),
    Entry(
        "flatten",
        dict.fromkeys((torch.flatten, Tensor.flatten), _read_flatten),
        {nn.Flatten: lambda m: flatten(m.start_dim, m.end_dim)},
    ),
    Entry(
        "reshape",
        {f: _read_reshape(f) for f in (Tensor.view, Tensor.reshape, torch.reshape)},
        {},
    ),
    Entry(
        "transpose",
        dict.fromkeys((torch.transpose, Tensor.transpose), read_linear(torch.transpose)),
        {},
    ),
    Entry("permute", {f: read_linear(f) for f in (Tensor.permute, torch.permute)}, {}),
    Entry("mean", dict.fromkeys((Tensor.mean, torch.mean), _read_mean), {}),
    Entry("sum", dict.fromkeys((Tensor.sum, torch.sum), _read_sum), {}),
    Entry(
        "add",
        dict.fromkeys((Tensor.add, Tensor.__add__, Tensor.__radd__, torch.add), _read_add),
        {},
    ),
)
