"""Where the weights are on a surface, step by step."""

from collections.abc import Iterator

from torch import Tensor, nn

from backend.training.datasets import Dataset
from backend.training.datasets.surface import Surface
from backend.training.networks.point import Moved
from backend.training.point_buffer import Key


class SurfacePath:
    """The first and the last coordinate of x + θ: a quadratic's steepest and flattest axis.

    Every other run has no path.
    """

    def __init__(self, module: nn.Module, dataset: Dataset, start: Tensor) -> None:
        points = [m for m in module.modules() if isinstance(m, Moved)]
        self._theta = points[0].theta.detach() if isinstance(dataset, Surface) and points else None
        self._start = start

    def at(self) -> Iterator[tuple[Key, Tensor]]:
        """`path/x0` and `path/x1`, on the device."""
        if self._theta is not None:
            place = self._start + self._theta  # a copy: the weights move on in place
            yield ("path/x0", "", ""), place[0]
            yield ("path/x1", "", ""), place[-1]
