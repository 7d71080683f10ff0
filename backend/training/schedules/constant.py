"""The constant learning rate."""

from dataclasses import dataclass

from backend.training.schedules.contract import WithWarmup


@dataclass(frozen=True)
class Constant(WithWarmup):
    """Constant: the optimiser's learning rate at every step after the warm-up."""

    def after_warmup(self, step: int, steps: int) -> float:
        return 1.0
