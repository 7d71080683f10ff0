"""`Foreign`: a tiny network with somebody else's module in it, and frames to put one in."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from estimators import Site

CLASSES = 3
EXAMPLES = 4


class Network(NamedTuple):
    """A module, its batch and its loss; and what is open wherever it is used."""

    module: nn.Module
    x: Tensor
    y: Tensor
    loss: Callable[[Any, Tensor], Tensor]
    open: Callable[[], Any] = nullcontext
    """A context for all that is done with it."""


@dataclass(frozen=True)
class Foreign:
    """A network by name, made anew for every use, from a fixed seed."""

    name: str
    make: Callable[[], Network]
    precision: torch.dtype = torch.float64
    """The least precise type of number on the way to the loss."""

    def build(self) -> Network:
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(0)
        try:
            return self.make()
        finally:
            torch.set_rng_state(before)


def classes(count: int = EXAMPLES) -> Tensor:
    return torch.arange(count) % CLASSES


def network(module: nn.Module, x: Tensor, loss: Any = None, y: Tensor | None = None) -> Network:
    """In float64, with cross-entropy unless another loss is given."""
    x = x.double() if x.is_floating_point() else x
    return Network(
        module.double(), x, classes(len(x)) if y is None else y, loss or nn.CrossEntropyLoss()
    )


def in_rows(module: nn.Module, width: int = 4, out: int | None = None) -> Network:
    """Linear(3, width), a site, the module on (B, width), and a readout."""
    net = nn.Sequential(
        nn.Linear(3, width), Site(), module, nn.Flatten(), nn.Linear(out or width, CLASSES)
    )
    return network(net, torch.randn(EXAMPLES, 3))


def in_images(module: nn.Module, out: int, channels: int = 2, size: int = 5) -> Network:
    """Conv2d(1, channels, 2), a site, the module on (B, channels, size − 1, size − 1), readout."""
    net = nn.Sequential(
        nn.Conv2d(1, channels, 2), Site(), module, nn.Flatten(), nn.Linear(out, CLASSES)
    )
    return network(net, torch.randn(EXAMPLES, 1, size, size))


def in_sequences(module: nn.Module, out: int, width: int = 4, length: int = 3) -> Network:
    """Linear(3, width), a site, the module on (B, length, width), and a readout."""
    net = nn.Sequential(nn.Linear(3, width), Site(), module, nn.Flatten(), nn.Linear(out, CLASSES))
    return network(net, torch.randn(EXAMPLES, length, 3))


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)
