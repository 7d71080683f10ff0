"""The contract of an optimiser, and the rates of groups that all of ours share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from backend.training.components.discovery import Configurable
from backend.training.optimizers.rates import parse_rates
from backend.training.schedules.contract import Schedule

Parameters = Iterable[nn.Parameter] | Iterable[dict[str, Any]]
"""Parameters, or torch's parameter groups."""


class Optimizer(Configurable, ABC):
    """Base of optimisers: a frozen dataclass that builds one of torch's optimisers."""

    lr: float
    schedule: Schedule
    rates: str = ""
    """Factors of `lr` by stage, as `parse_rates` reads them; "": one rate for all."""

    @property
    def moments(self) -> int:
        """Numbers that the optimiser keeps for each parameter, for the estimate of memory."""
        return 2

    @abstractmethod
    def build(self, params: Parameters, /) -> torch.optim.Optimizer:
        """The torch optimiser of `params`."""


@dataclass(frozen=True)
class WithRates(Optimizer):
    """Base of optimisers that have a learning rate for each group of parameters."""

    rates: str = field(default="", kw_only=True)  # in SGD(0.1), the number is the learning rate
    """Factors of the learning rate, as `heads: 0.1, block0: 0.5`. A name is a stage of the
    network, or a part of a stage; `heads` are the last stage and the heads of local losses. A tied
    weight belongs to the stage in which it stands first, as that of a tied head to the embedding.
    Empty: one rate for all. A factor of 0 freezes the weights."""

    def __post_init__(self) -> None:
        parse_rates(self.rates)
