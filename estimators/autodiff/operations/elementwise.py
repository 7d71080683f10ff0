"""Non-linearities that act on each number alone."""
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from estimators.autodiff.operations.operation import Call, Elementwise, Entry, Saved

aten = torch.ops.aten


class ReLU(Elementwise):
    """y = max(x, 0); its slope at 0 is 0."""

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        y = torch.relu(x)
        return y, (y,)

    def times_slope(self, saved: Saved, t: Tensor) -> Tensor:
        return aten.threshold_backward.default(t, saved[0], 0)


class Tanh(Elementwise):
    """y = tanh x; slope 1 − y²."""

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        y = torch.tanh(x)
        return y, (y,)

    def times_slope(self, saved: Saved, t: Tensor) -> Tensor:
        return aten.tanh_backward.default(t, saved[0])


class Sigmoid(Elementwise):
    """y = 1/(1 + e⁻ˣ); slope y (1 − y)."""

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        y = torch.sigmoid(x)
        return y, (y,)

    def times_slope(self, saved: Saved, t: Tensor) -> Tensor:
        return aten.sigmoid_backward.default(t, saved[0])


@dataclass(frozen=True)
class OfInput(Elementwise):
    """A non-linearity whose slope is a function of x, by torch's own kernel."""

    function: Callable[[Tensor], Tensor]
    product: Callable[[Tensor, Tensor], Tensor]
    """(t, x) -> f'(x) t, for tensors of one shape."""

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        return self.function(x), (x,)

    def times_slope(self, saved: Saved, t: Tensor) -> Tensor:
        x = saved[0]
        return self.product(t, x if x.shape == t.shape else x.expand_as(t))


RELU, TANH, SIGMOID = ReLU(), Tanh(), Sigmoid()
SILU = OfInput(F.silu, aten.silu_backward.default)


def gelu(approximate: str = "none") -> OfInput:
    """y = x Φ(x), or its approximation by tanh."""
    return OfInput(
        lambda x: F.gelu(x, approximate=approximate),
        lambda t, x: aten.gelu_backward.default(t, x, approximate=approximate),
    )


def elu(alpha: float = 1.0) -> OfInput:
    """y = x for x > 0, else α (eˣ − 1)."""
    return OfInput(
        lambda x: F.elu(x, alpha),
        lambda t, x: aten.elu_backward.default(t, alpha, 1.0, 1.0, False, x),
    )


def softplus(beta: float = 1.0, threshold: float = 20.0) -> OfInput:
    """y = log(1 + e^{βx})/β, and x itself where βx is above the threshold."""
    return OfInput(
        lambda x: F.softplus(x, beta, threshold),
        lambda t, x: aten.softplus_backward.default(t, x, beta, threshold),
    )


def leaky_relu(negative_slope: float = 0.01) -> OfInput:
    """y = x for x > 0, else the slope times x."""
    return OfInput(
        lambda x: F.leaky_relu(x, negative_slope),
        lambda t, x: aten.leaky_relu_backward.default(t, x, negative_slope, False),
    )


def _read(operation: Elementwise) -> Callable[..., Call | None]:
    """A function of x alone. A change in place is the caller's to see."""

    def read(input: Tensor, inplace: bool = False, **others: Any) -> Call | None:
        return None if others else Call(operation, input)

    return read


def _read_gelu(input: Tensor, approximate: str = "none") -> Call:
    return Call(gelu(approximate), input)


def _read_elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Call:
    return Call(elu(alpha), input)


def _read_softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Call:
    return Call(softplus(beta, threshold), input)


def _read_leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Call:
    return Call(leaky_relu(negative_slope), input)


ENTRIES = (
    Entry(
        "relu",
        dict.fromkeys((F.relu, torch.relu, Tensor.relu), _read(RELU)),
        {nn.ReLU: lambda m: RELU},
    ),
    Entry(
        "tanh",
        dict.fromkeys((F.tanh, torch.tanh, Tensor.tanh), _read(TANH)),
        {nn.Tanh: lambda m: TANH},
    ),
    Entry(
        "sigmoid",
        dict.fromkeys((F.sigmoid, torch.sigmoid, Tensor.sigmoid), _read(SIGMOID)),
        {nn.Sigmoid: lambda m: SIGMOID},
    ),
    Entry("silu", {F.silu: _read(SILU)}, {nn.SiLU: lambda m: SILU}),
    Entry("gelu", {F.gelu: _read_gelu}, {nn.GELU: lambda m: gelu(m.approximate)}),
    Entry("elu", {F.elu: _read_elu}, {nn.ELU: lambda m: elu(m.alpha)}),
    Entry(
        "softplus",
        {F.softplus: _read_softplus},
        {nn.Softplus: lambda m: softplus(m.beta, m.threshold)},
    ),
    Entry(
        "leaky_relu",
        {F.leaky_relu: _read_leaky_relu},
        {nn.LeakyReLU: lambda m: leaky_relu(m.negative_slope)},
    ),
)
