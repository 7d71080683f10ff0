"""Batchwise random-magnitude sign-concordant feedback (brSF) of Liao et al. (2016)."""

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
    """Feedback with the signs of the weights and magnitudes drawn anew for each batch.

    δ passes each layer through B = (|M| ∘ sign W)ᵀ instead of Wᵀ, with M normal.

    Use it to see how much of backpropagation is due to the signs of the weights: it needs no copy
    of their sizes. Its noise makes it worse than `USF`, which is its mean.

    Biased; on average exact where all weights of a layer have the magnitude E|M|. Costs one
    forward and one backward pass.

    Source: Liao, Leibo and Poggio (2016), arXiv:1510.05067; Moskovitz, Litwin-Kumar and Abbott
    (2018), arXiv:1812.06488.

    Example:
        >>> estimator = BRSF(scale=0.5)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Batchwise random sign feedback (brSF)"

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: M is normal with standard deviation scale·√(2/(fan-in + fan-out))."""

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return weight.new_tensor(self.scale * xavier_deviation(weight))

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return torch.empty_like(weight).normal_(generator=rng).abs_().mul_(kept).copysign_(weight)

    def mean_feedback(self, weight: Tensor, kept: Tensor, /) -> Tensor:
        return torch.sign(weight) * (kept * math.sqrt(2 / math.pi))  # E|M| of a normal M

    def law(self, objective: Chain, params: Params, state: State, exact: Params, /) -> Law:
        """The mean, with each feedback used once, and the variance 0 of the exact gradients."""
        covered = self.coverage(objective, params)
        variance = {name: 0.0 for name in params if covered[name] == "exact"}
        return Law(variance, super().law(objective, params, state, exact).mean)
