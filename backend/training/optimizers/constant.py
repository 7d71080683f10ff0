"""The constant learning rate."""

from dataclasses import dataclass

from backend.training.optimizers.contract import Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    """Constant: the optimiser's learning rate at every step."""

    def factor(self, step: int, steps: int) -> float:
        return 1.0
