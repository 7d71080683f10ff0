"""Exponential decay of the learning rate."""

from dataclasses import dataclass
from math import exp
from typing import Annotated

from backend.training.schedules.contract import WithWarmup
from estimators.core.bounds import Ge, Le, Unit


@dataclass(frozen=True)
class Exponential(WithWarmup):
    """Exponential: the learning rate falls by the same small share at each step.

    exp(−rate · step): the schedule of the experiments of Baydin et al. (2022), arXiv:2202.08587,
    in an open implementation of them, with a rate of 1e-4.
    """

    rate: Annotated[float, Ge(0.0), Le(10.0), Unit("per step")] = 1e-4
    """How fast it falls: after 1/rate steps the learning rate is 37 % (1/e) of what it was."""

    def after_warmup(self, step: int, steps: int) -> float:
        """exp(−rate · step)."""
        return exp(-self.rate * step)
