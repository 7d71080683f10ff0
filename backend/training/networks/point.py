"""A point that wanders on a surface."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.training.networks.contract import Network, named


class Moved(nn.Module):
    """x + θ, θ from zero."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.empty(size))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.theta


@dataclass(frozen=True)
class Point(Network):
    """The starting point moved by the weights: output x + θ, θ from zero; for the data set surface.

    It has neither sites nor stages: estimators that need no more than a loss serve it.
    """

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        if shape != (classes,):
            raise ValueError(
                "a point needs as many outputs as inputs, as the data set surface has them; this "
                f"one has examples of shape {shape} and {classes} classes"
            )
        return named(point=Moved(classes))

    def _initialise(self, part: nn.Module, rng: torch.Generator) -> None:
        if isinstance(part, Moved):
            nn.init.zeros_(part.theta)
