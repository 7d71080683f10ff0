"""Cosine annealing with a linear warm-up."""

from dataclasses import dataclass
from math import cos, pi
from typing import Annotated

from backend.training.optimizers.contract import Schedule
from estimators.core.bounds import Ge, Le, Unit


@dataclass(frozen=True)
class Cosine(Schedule):
    """Cosine: a linear rise over `warmup` steps, then half a cosine down to zero at the end."""

    warmup: Annotated[int, Ge(0), Le(1_000_000), Unit("steps")] = 0
    """Steps over which the learning rate rises from zero; 0: none."""

    def factor(self, step: int, steps: int) -> float:
        """(step + 1) / warmup, then ½ (1 + cos(π t)) with t from 0 to 1 over the rest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, steps - self.warmup)
        return 0.5 * (1 + cos(pi * min(1.0, done)))
