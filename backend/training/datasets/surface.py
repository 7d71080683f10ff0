"""Surfaces: losses of a few numbers, on which the path of an estimator can be drawn."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from backend.surfaces import SURFACES, Function, value
from backend.training.datasets.contract import Dataset, Part, Split
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.objective import Losses

EXAMPLES = {"train": 1024, "validation": 64, "test": 64}


@dataclass(frozen=True)
class Surface(Dataset):
    """A surface without data: Rosenbrock's valley, Beale's plateau or an ill-conditioned bowl.

    Every example is the starting point x, and the loss is the height f at the network's output.
    With the network point, whose output is x + θ, the weights move a point on f.
    """

    function: Function = "rosenbrock"
    """rosenbrock: minimum at (1, 1), start (−1.2, 1). beale: minimum at (3, 0.5), start (1, 1).
    quadratic: ½ Σ λᵢ xᵢ², start at 1 everywhere."""
    dimension: Annotated[int, Ge(2), Le(1000), Unit("weights")] = 2
    """Dimension of a quadratic; the other surfaces have two."""
    condition: Annotated[float, Ge(1), Le(1e6)] = 100.0
    """Condition number κ of a quadratic: its largest curvature, 1, over its smallest."""

    classified: ClassVar[bool] = False
    own_network: ClassVar[str] = "point"

    def __post_init__(self) -> None:
        if self.function != "quadratic" and self.dimension != 2:
            raise ValueError(
                f"dimension is {self.dimension}; {self.function} has 2, only a quadratic has others"
            )

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override], here it is a choice
        return (self.dimension,)

    @property
    def classes(self) -> int:  # type: ignore[override]
        return self.dimension

    @property
    def description(self) -> str:
        return f"The surface {self.function} in {self.dimension} dimensions; there are no data."

    @property
    def training_examples(self) -> int:
        return EXAMPLES["train"]

    def load(self, seed: int) -> Split:
        start = SURFACES[self.function].start
        point = torch.tensor([start[0], *[start[1]] * (self.dimension - 1)])
        return Split(*(_repeated(point, count) for count in EXAMPLES.values()))

    @property
    def losses(self) -> Losses:
        return self._height

    def _height(self, output: Tensor, y: Tensor) -> Tensor:
        """f at each row of `output`, (B,); the targets are ignored."""
        if self.function != "quadratic":
            return value(self.function, output[:, 0], output[:, 1], self.condition)
        exponents = torch.linspace(0, -1, self.dimension, device=output.device)
        curvatures = (self.condition**exponents).to(output.dtype)
        return 0.5 * (output.square() * curvatures).sum(1)


def _repeated(point: Tensor, count: int) -> Part:
    return Part(point.repeat(count, 1), torch.zeros(count, dtype=torch.int64))
