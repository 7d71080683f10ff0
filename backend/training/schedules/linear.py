"""Linear decay of the learning rate."""

from dataclasses import dataclass
from typing import Annotated

from backend.training.schedules.contract import WithWarmup
from estimators.core.bounds import Ge, Le


@dataclass(frozen=True)
class Linear(WithWarmup):
    """Linear: a linear rise over `warmup` steps, then a line down to `end` times the rate."""

    end: Annotated[float, Ge(0.0), Le(1.0)] = 0.0
    """Factor of the learning rate at the end of the run."""

    def after_warmup(self, step: int, steps: int) -> float:
        """1 − (1 − end) t with t from 0 to 1."""
        return 1 - (1 - self.end) * min(1.0, step / steps)
