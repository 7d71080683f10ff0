"""The multilayer perceptron."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Annotated

from torch import nn

from backend.training.networks.contract import (
    ACTIVATIONS,
    Activation,
    Network,
    Normalisation,
    named,
    norm,
)
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.site import Site


@dataclass(frozen=True)
class MLP(Network):
    """Multilayer perceptron: `depth` hidden layers of `width` units, then a linear head.

    Without a hidden layer it is logistic regression, for the loss cross_entropy.
    """

    width: Annotated[int, Ge(1), Le(16_384), Unit("units")] = 128
    """Units in each hidden layer."""
    depth: Annotated[int, Ge(0), Le(64), Unit("layers")] = 2
    """Number of hidden layers, without the head; 0: the head alone, which is a linear map."""
    activation: Activation = "relu"
    """Nonlinearity after each hidden layer."""
    normalisation: Normalisation = "none"
    """Normalisation between each hidden layer's linear map and its nonlinearity. batch: the
    examples of a batch are coupled, and estimators with a coefficient for each example become
    biased; validation and test use running statistics."""

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        sizes = [prod(shape), *[self.width] * self.depth]
        stages: dict[str, nn.Module] = {}
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            flatten = nn.Flatten() if i == 1 and len(shape) > 1 else None
            stages[f"hidden{i}"] = self._hidden(flatten, fan_in, fan_out)
        flatten = nn.Flatten() if self.depth == 0 and len(shape) > 1 else None
        head = named(flatten=flatten, linear=nn.Linear(sizes[-1], classes))
        return named(**stages, head=head)

    def _hidden(self, flatten: nn.Module | None, fan_in: int, fan_out: int) -> nn.Sequential:
        return named(
            flatten=flatten,
            linear=nn.Linear(fan_in, fan_out),
            norm=norm(self.normalisation, fan_out, image=False),
            site=Site(("unit",)),
            activation=ACTIVATIONS[self.activation](),
        )
