"""The contracts of an optimiser and of a learning-rate schedule."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

from backend.training.components.discovery import Configurable


class Schedule(Configurable, ABC):
    """Base of schedules: a frozen dataclass; the learning rate over the optimiser's `lr`."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """The factor of `lr` at update `step` of `steps`, counted from 0."""


class Optimizer(Configurable, ABC):
    """Base of optimisers: a frozen dataclass that builds one of torch's optimisers."""

    lr: float
    schedule: Schedule

    @abstractmethod
    def build(self, params: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimiser of `params`."""
