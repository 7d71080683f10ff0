"""Uniform sign-concordant feedback (uSF): Liao, Leibo and Poggio (2016), arXiv:1510.05067;
Moskovitz, Litwin-Kumar and Abbott (2018), arXiv:1812.06488.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.feedback._feedback_weights import Transporting
from estimators.feedback._transport import xavier_deviation


@dataclass(frozen=True)
class USF(Transporting):
    """δ passes each layer through B = c·sign(W)ᵀ: signs follow the weights, magnitudes are one.

    Exact where all of a layer's weights have the magnitude c.
    """

    title = "Uniform sign feedback (uSF)"

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: c = scale·√(2/(fan-in + fan-out)), as of a weight drawn at first."""

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return weight.new_tensor(self.scale * xavier_deviation(weight))

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return torch.sign(weight).mul_(kept)
