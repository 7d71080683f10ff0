"""What an optimiser and a schedule are."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

from backend.training.components.discovery import Configurable


class Schedule(Configurable, ABC):
    """A frozen dataclass: the learning rate as a multiple of the optimiser's `lr`."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """The multiple at update `step` of `steps`, counted from 0."""


class Optimizer(Configurable, ABC):
    """A frozen dataclass that makes one of torch's optimisers."""

    lr: float
    schedule: Schedule

    @abstractmethod
    def build(self, params: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """torch's optimiser of `params`."""
