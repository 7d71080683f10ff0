"""Uniform sign-concordant feedback (uSF) of Liao et al. (2016)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.feedback._feedback_weights import Transporting
from estimators.feedback._transport import xavier_deviation


@dataclass(frozen=True)
class USF(Transporting):
    """Feedback with the signs of the weights and one magnitude for each layer.

    δ passes each layer through B = c·sign(W)ᵀ instead of Wᵀ.

    Use it as the best feedback that knows the signs of the weights alone; it scales to deeper
    networks than random feedback.

    Biased; exact where all weights of a layer have the magnitude c. Costs one forward and one
    backward pass.

    Source: Liao, Leibo and Poggio (2016), arXiv:1510.05067; Moskovitz, Litwin-Kumar and Abbott
    (2018), arXiv:1812.06488.

    Example:
        >>> estimator = USF(scale=0.5)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Uniform sign feedback (uSF)"

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: c = scale·√(2/(fan-in + fan-out)), the size of an initial weight."""

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return weight.new_tensor(self.scale * xavier_deviation(weight))

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return torch.sign(weight).mul_(kept)
