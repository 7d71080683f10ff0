"""The network `point`: a point that moves on a surface, and the path that it takes."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.training.datasets.contract import Dataset
from backend.training.datasets.surface import Surface
from backend.training.networks.contract import Network, named


class Moved(nn.Module):
    """x + θ; θ starts at zero."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.empty(size))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.theta


@dataclass(frozen=True)
class Point(Network):
    """The starting point moved by the weights: output x + θ, θ from zero; for the data set surface.

    It has neither sites nor stages, so it suits the estimators that need a loss and no more.
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


class SurfacePath:
    """The first and last coordinate of x + θ on a surface, as the weights move.

    They are a quadratic's steepest and flattest axis. A run on other data has no path.
    """

    def __init__(self, module: nn.Module, dataset: Dataset, start: Tensor) -> None:
        points = [m for m in module.modules() if isinstance(m, Moved)]
        self._theta = points[0].theta.detach() if isinstance(dataset, Surface) and points else None
        self._start = start

    def position(self) -> Iterator[tuple[str, Tensor]]:
        """(`path/x0`, value) and (`path/x1`, value), on the device."""
        if self._theta is not None:
            place = self._start + self._theta  # a copy: the weights move on in place
            yield "path/x0", place[0]
            yield "path/x1", place[-1]
