"""Decay of the learning rate in steps."""

from dataclasses import dataclass
from typing import Annotated

from backend.training.schedules.contract import WithWarmup
from estimators.core.bounds import Ge, Gt, Le, Unit


@dataclass(frozen=True)
class Step(WithWarmup):
    """Step: the learning rate is multiplied by `decay` after every `every` steps."""

    every: Annotated[int, Ge(1), Le(10_000_000), Unit("steps")] = 1000
    """Steps between two multiplications, counted from the end of the warm-up."""
    decay: Annotated[float, Gt(0.0), Le(1.0)] = 0.1
    """What the learning rate is multiplied by."""

    def after_warmup(self, step: int, steps: int) -> float:
        """decay^⌊step / every⌋."""
        return self.decay ** (step // self.every)
