"""Two interleaved half circles in the plane."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from sklearn.datasets import make_moons

from backend.training.datasets.contract import Dataset, Split, stratified
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.noise import stream


@dataclass(frozen=True)
class TwoMoons(Dataset):
    """Two moons: points in the plane on two interleaved half circles; each seed draws new ones."""

    examples: Annotated[int, Ge(20), Le(1_000_000), Unit("examples")] = 2000
    """Points in the three parts together."""
    noise: Annotated[float, Ge(0.0), Le(2.0)] = 0.2
    """Standard deviation of the noise on each coordinate; the circles have radius 1."""

    shape: ClassVar = (2,)
    classes: ClassVar = 2
    separate_test: ClassVar[bool] = True

    @property
    def description(self) -> str:
        return f"{self.examples:,} points of two half circles, noise {self.noise:g}; 60/20/20 %."

    @property
    def training_examples(self) -> int:
        sizes = (self.examples // 2, self.examples - self.examples // 2)
        return sum(int((torch.arange(n) / n >= 0.4).sum()) for n in sizes)

    def load(self, seed: int) -> Split:
        number = stream(seed, "data", "two_moons").initial_seed() % 2**32
        points, labels = make_moons(self.examples, noise=self.noise, random_state=number)
        x = torch.tensor(points, dtype=torch.float32)
        return stratified(x, torch.tensor(labels, dtype=torch.int64), seed)
