"""RMSprop, of Tieleman and Hinton (2012), lecture 6.5 of "Neural networks for machine learning"."""

from dataclasses import dataclass, field
from typing import Annotated

import torch

from backend.training.optimizers.contract import Parameters, WithRates
from backend.training.schedules.constant import Constant
from backend.training.schedules.contract import Schedule
from estimators.core.bounds import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class Rmsprop(WithRates):
    """RMSprop: the gradient, divided by its root mean square over the past steps."""

    title = "RMSprop"

    lr: Annotated[float, Gt(0.0), Le(1000.0)] = 0.001
    """Learning rate: the approximate size of one update of each weight."""
    alpha: Annotated[float, Ge(0.0), Lt(1.0)] = 0.99
    """Decay of the running mean of the squared gradient."""
    eps: Annotated[float, Gt(0.0), Le(1.0)] = 1e-8
    """Added to the root of the mean squared gradient, to avoid division by zero."""
    centered: bool = False
    """Divide by the standard deviation of the gradient: its running mean is subtracted."""
    momentum: Annotated[float, Ge(0.0), Lt(1.0)] = 0.0
    """Share of the last update that is added to the next; 0: none."""
    weight_decay: Annotated[float, Ge(0.0), Le(10.0)] = 0.0
    """Weight decay: this multiple of the weights is added to the gradient."""
    schedule: Schedule = field(default_factory=Constant)
    """How the learning rate changes over the run."""

    @property
    def moments(self) -> int:
        return 1 + self.centered + (self.momentum > 0)

    def build(self, params: Parameters, /) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            params,
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            centered=self.centered,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            foreach=True,
        )
