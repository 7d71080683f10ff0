"""`Operation`: a function with its forward and backward derivative; `Entry`: a row of the table.

An operation computes y = f(x, w, b) of an input x and, where it has them, a weight w and a
bias b; its other arguments (stride, eps, …) are fields. Every rule is right for any memory layout
of its tensors. Tangents are taken one at a time, shaped as what they belong to, or K > 1 at a
time with a first axis K.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Saved = tuple[Any, ...]
"""What the derivatives of one call read."""

Wanted = tuple[bool, bool, bool]
"""Whether the gradients of x, w and b are asked for."""

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]
"""Of x, w and b; None where it was not asked for or there is none."""

Transform = Callable[[Tensor], Tensor]


class Operation(ABC):
    """y = f(x, w, b)."""

    def accepts(self, x: Tensor) -> bool:
        """Whether the rule is written for an input of this shape."""
        return True

    @abstractmethod
    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        """(y, what the derivatives need). Autograd records it where grad mode is on."""

    @abstractmethod
    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        """ẏ = ∂f/∂x ẋ + ∂f/∂w ẇ + ∂f/∂b ḃ, shaped as y, or (K, *y) for K = `count` > 1 tangents.

        At least one tangent is given. Call it while grad mode is off.
        """

    @abstractmethod
    def vjp(self, saved: Saved, signal: Tensor, wanted: Wanted = (True, False, False)) -> Gradients:
        """The products of `signal`, shaped as y, with ∂f/∂x, ∂f/∂w and ∂f/∂b.

        Call it while grad mode is off.
        """


class Call(NamedTuple):
    """An operation and the tensors it is called with."""

    operation: Operation
    x: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None


class Map(Operation):
    """A function that is linear in its input and in its weight: y = x ∗ w + b.

    Such a function has no value to save but its inputs, so that a pass may pull it back by hand
    instead of having autograd record it.
    """


class Elementwise(Operation):
    """y_i = f(x_i). Its Jacobian is diagonal: forwards and backwards are the same product."""

    @abstractmethod
    def times_slope(self, saved: Saved, t: Tensor) -> Tensor:
        """f'(x) t, for t shaped as x or with axes before those of x."""

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        assert x_tangent is not None
        return self.times_slope(saved, x_tangent)

    def vjp(self, saved: Saved, signal: Tensor, wanted: Wanted = (True, False, False)) -> Gradients:
        return self.times_slope(saved, signal), None, None


class LinearInInput(Operation):
    """y = A x, without weight or offset: it moves a tangent as it moves a value."""

    examplewise: bool = True
    """Whether the first axis of x is a batch that A maps example by example."""

    @abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """A x."""

    @abstractmethod
    def transpose(self, shape: torch.Size, signal: Tensor) -> Tensor:
        """Aᵀ s, of the given shape."""

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        return self.apply(x), (x.shape,)

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        assert x_tangent is not None
        each = stacked if self.examplewise else each_of
        return each(count, x_tangent, self.apply)

    def vjp(self, saved: Saved, signal: Tensor, wanted: Wanted = (True, False, False)) -> Gradients:
        return self.transpose(saved[0], signal), None, None


def stacked(count: int, t: Tensor, apply: Transform) -> Tensor:
    """A function that keeps the batch axis, on K tangents as one batch of K·B examples."""
    if count == 1:
        return apply(t)
    return apply(t.flatten(0, 1)).unflatten(0, (count, -1))


def each_of(count: int, t: Tensor, apply: Transform) -> Tensor:
    """A function on K tangents, one after the other."""
    return apply(t) if count == 1 else torch.stack([apply(v) for v in t])


def plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """a + b, where None is zero."""
    return b if a is None else a if b is None else a + b


ReadCall = Callable[..., Call | None]
"""(a torch function's arguments) -> the operation and its tensors; None where no rule fits."""

ReadModule = Callable[[Any], Operation | None]
"""module -> the operation that its `forward` is; None where no rule fits its fields."""


@dataclass(frozen=True)
class Entry:
    """One operation: the torch functions and the module types that mean it."""

    name: str
    functions: Mapping[Any, ReadCall]
    modules: Mapping[type[nn.Module], ReadModule]
    parameters: bool = False
    """Whether these modules have a `weight` and a `bias`, either of which may be None."""
