"""Batchwise random-magnitude sign-concordant feedback (brSF): Liao, Leibo and Poggio (2016),
arXiv:1510.05067; Moskovitz, Litwin-Kumar and Abbott (2018), arXiv:1812.06488.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.core.contract import Law, Params
from estimators.core.objective import Chain
from estimators.feedback._feedback_weights import State, Transporting
from estimators.feedback._transport import xavier_deviation


@dataclass(frozen=True)
class BRSF(Transporting):
    """δ passes each layer through B = (|M| ∘ sign W)ᵀ, with magnitudes M drawn for each batch.

    On average it is uSF with the magnitude E|M|: exact where all of a layer's weights have that.
    """

    title = "Batchwise random sign feedback (brSF)"

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: M is normal, of deviation scale·√(2/(fan-in + fan-out))."""

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return weight.new_tensor(self.scale * xavier_deviation(weight))

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return torch.empty_like(weight).normal_(generator=rng).abs_().mul_(kept).copysign_(weight)

    def mean_feedback(self, weight: Tensor, kept: Tensor, /) -> Tensor:
        return torch.sign(weight) * (kept * math.sqrt(2 / math.pi))  # E|M| of a normal M

    def law(self, objective: Chain, params: Params, state: State, exact: Params, /) -> Law:
        """The mean, each feedback passed once; of the scatter, that of what is exact alone."""
        covered = self.coverage(objective, params)
        known = {name: 0.0 for name in params if covered[name] == "exact"}
        return Law(known, super().law(objective, params, state, exact).mean)
