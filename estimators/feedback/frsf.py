"""Fixed random-magnitude sign-concordant feedback (frSF) of Liao et al. (2016)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.feedback._feedback_weights import Transporting
from estimators.feedback._transport import xavier_deviation


@dataclass(frozen=True)
class FRSF(Transporting):
    """Feedback with the signs of the weights and magnitudes that are drawn once.

    δ passes each layer through B = (|M| ∘ sign W)ᵀ instead of Wᵀ, with M normal and fixed.

    Use it beside `FeedbackAlignment` to see what the right signs add to fixed random feedback.

    Biased; exact where |M| = |W|. Costs one forward and one backward pass.

    Source: Liao, Leibo and Poggio (2016), arXiv:1510.05067; Moskovitz, Litwin-Kumar and Abbott
    (2018), arXiv:1812.06488.

    Example:
        >>> estimator = FRSF(scale=0.5)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Fixed random sign feedback (frSF)"

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: M is normal with standard deviation scale·√(2/(fan-in + fan-out))."""

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        size = self.scale * xavier_deviation(weight)
        return torch.empty_like(weight).normal_(generator=rng).abs_().mul_(size)

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return torch.copysign(kept, weight)
