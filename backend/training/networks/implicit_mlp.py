"""A multilayer perceptron with an equilibrium in the place of its hidden layers."""

from dataclasses import dataclass
from math import prod
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor, nn

from backend.training.networks.contract import ACTIVATIONS, named
from backend.training.networks.implicit_network import ImplicitNetwork
from estimators.core.bounds import Ge, Le, Lt, Unit
from estimators.core.site import Site
from estimators.implicit.equilibrium import equilibria


class RecurrentCell(nn.Module):
    """f(z, x) = φ(W z + x), for a state z and an input x of `width` units, (B, width)."""

    def __init__(self, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.recurrent = nn.Linear(width, width, bias=False)
        self.activation = activation

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return self.activation(self.recurrent(z) + x)


@dataclass(frozen=True)
class ImplicitMLP(ImplicitNetwork):
    """Implicit multilayer perceptron: z = φ(W z + U x + b), then a linear head.

    Source: Bai, Kolter and Koltun (2019), arXiv:1909.01377; El Ghaoui et al. (2021),
    arXiv:1908.06315.
    """

    width: Annotated[int, Ge(1), Le(8192), Unit("units")] = 64
    """Units of the state z."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Nonlinearity of the cell (φ)."""
    scale: Annotated[float, Ge(0), Lt(2)] = 0.8
    """Spectral norm of the initial recurrent weights W. Below 1 the equilibrium exists and is
    unique, and the plain iteration finds it; training can move W beyond."""

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        layer = self.equilibrium(RecurrentCell(self.width, ACTIVATIONS[self.activation]()))
        flatten = nn.Flatten() if len(shape) > 1 else None
        return named(
            input=named(
                flatten=flatten,
                linear=nn.Linear(prod(shape), self.width),
                site=Site(("unit",)),
            ),
            equilibrium=named(layer=layer, site=Site(("unit",))),
            head=named(linear=nn.Linear(self.width, classes)),
        )

    def build(self, shape: tuple[int, ...], classes: int, rng: Generator) -> nn.Sequential:
        module = super().build(shape, classes, rng)
        with torch.no_grad():
            for stage in equilibria(module).values():
                weight = stage.get_parameter("cell.recurrent.weight")
                weight.mul_(self.scale / torch.linalg.matrix_norm(weight, 2))
        return module
