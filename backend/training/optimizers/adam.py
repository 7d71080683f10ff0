"""Adam, with the weight decay of its first version."""

from dataclasses import dataclass, field
from typing import Annotated

import torch

from backend.training.optimizers.contract import Parameters, WithRates
from backend.training.schedules.constant import Constant
from backend.training.schedules.contract import Schedule
from estimators.core.bounds import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class Adam(WithRates):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980)."""

    lr: Annotated[float, Gt(0.0), Le(1000.0)] = 0.001
    """Learning rate: the approximate size of one update of each weight."""
    beta1: Annotated[float, Ge(0.0), Lt(1.0)] = 0.9
    """Decay of the running mean of the gradient."""
    beta2: Annotated[float, Ge(0.0), Lt(1.0)] = 0.999
    """Decay of the running mean of the squared gradient."""
    eps: Annotated[float, Gt(0.0), Le(1.0)] = 1e-8
    """Added to the root of the mean squared gradient, to avoid division by zero."""
    weight_decay: Annotated[float, Ge(0.0), Le(10.0)] = 0.0
    """Weight decay: this multiple of the weights is added to the gradient, before the division by
    its root mean square. AdamW decays the weights themselves."""
    schedule: Schedule = field(default_factory=Constant)
    """How the learning rate changes over the run."""

    def build(self, params: Parameters, /) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            params,
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )
