"""Stochastic gradient descent."""

from dataclasses import dataclass, field
from typing import Annotated

import torch

from backend.training.optimizers.contract import Parameters, WithRates
from backend.training.schedules.constant import Constant
from backend.training.schedules.contract import Schedule
from estimators.core.bounds import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class SGD(WithRates):
    """Stochastic gradient descent with momentum."""

    lr: Annotated[float, Gt(0.0), Le(1000.0)] = 0.01
    """Learning rate: the factor of the estimated gradient in an update."""
    momentum: Annotated[float, Ge(0.0), Lt(1.0)] = 0.0
    """Share of the last update that is added to the next; 0: none."""
    nesterov: bool = False
    """Nesterov's variant of momentum. Needs momentum above 0."""
    weight_decay: Annotated[float, Ge(0.0), Le(10.0)] = 0.0
    """Weight decay: this multiple of the weights is added to the gradient."""
    schedule: Schedule = field(default_factory=Constant)
    """How the learning rate changes over the run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0; momentum is 0")

    @property
    def moments(self) -> int:
        return int(self.momentum > 0)

    def build(self, params: Parameters, /) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            params,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=True,
        )
