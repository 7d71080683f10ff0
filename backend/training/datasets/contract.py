"""What a data set is: three parts, held whole, fixed by the seed."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from backend.training.components.discovery import Configurable
from estimators.core.noise import stream
from estimators.core.objective import Losses, cross_entropy


class Part(NamedTuple):
    """Examples (N, *shape) as float32 and their classes (N,) as int64."""

    x: Tensor
    y: Tensor

    def to(self, device: torch.device | str) -> "Part":
        return Part(self.x.to(device), self.y.to(device))


@dataclass(frozen=True)
class Split:
    """Learning rates are tuned on `validation`, results are reported on `test`."""

    train: Part
    validation: Part
    test: Part

    def to(self, device: torch.device | str) -> "Split":
        return Split(self.train.to(device), self.validation.to(device), self.test.to(device))


class Dataset(Configurable, ABC):
    """A frozen dataclass; its fields choose among variants."""

    shape: ClassVar[tuple[int, ...]]
    """Of one example: the batch axis left out."""
    classes: ClassVar[int]
    """How many classes there are: as many outputs a network has."""
    classified: ClassVar[bool] = True
    """Whether outputs are scores of classes, so that there is an accuracy."""

    @property
    def losses(self) -> Losses:
        """The loss of each example, of the network's outputs and the targets."""
        return cross_entropy

    @property
    @abstractmethod
    def description(self) -> str:
        """One sentence: what it is and where it comes from."""

    @property
    @abstractmethod
    def training_examples(self) -> int:
        """Examples in the training part, known without loading."""

    @abstractmethod
    def load(self, seed: int) -> Split:
        """The parts that `seed` fixes."""


def stratified(
    x: Tensor, y: Tensor, seed: int, validation: float = 0.2, test: float = 0.2
) -> Split:
    """Split (x, y) at random so that every part has each class in the same proportion."""
    order = torch.randperm(len(y), generator=stream(seed, "data", "split"))
    place = torch.empty(len(y))  # of each shuffled example within its class, in [0, 1)
    for label in y.unique():
        members = (y[order] == label).nonzero().squeeze(1)
        place[members] = torch.arange(len(members)) / len(members)
    bounds = torch.tensor([test, test + validation])
    part = torch.bucketize(place, bounds, right=True)  # 0 test, 1 validation, 2 train
    test_part, validation_part, train_part = (
        Part(x[order[part == p]], y[order[part == p]]) for p in range(3)
    )
    return Split(train_part, validation_part, test_part)
