"""The contract of a learning-rate schedule, and the warm-up that all of ours share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Annotated

from backend.training.components.discovery import Configurable
from estimators.core.bounds import Ge, Le, Unit


class Schedule(Configurable, ABC):
    """Base of schedules: a frozen dataclass; the learning rate over the optimiser's `lr`."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """The factor of `lr` at update `step` of `steps`, counted from 0."""


@dataclass(frozen=True)
class WithWarmup(Schedule):
    """Base of schedules that begin with a linear rise: a subclass defines what comes after it."""

    warmup: Annotated[int, Ge(0), Le(1_000_000), Unit("steps")] = field(default=0, kw_only=True)
    """Steps over which the learning rate rises from zero; 0: none."""

    def factor(self, step: int, steps: int) -> float:
        """(step + 1) / warmup during the warm-up, then `after_warmup` of the steps that remain."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        return self.after_warmup(step - self.warmup, max(1, steps - self.warmup))

    @abstractmethod
    def after_warmup(self, step: int, steps: int) -> float:
        """The factor of `lr` at update `step` of the `steps` behind the warm-up, from 0.

        `step` may reach or pass `steps`, in a run that goes on for longer than was planned.
        """
