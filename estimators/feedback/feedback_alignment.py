"""Feedback alignment of Lillicrap et al. (2016)."""

from dataclasses import dataclass
from typing import Annotated

from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.feedback._feedback_weights import Transporting
from estimators.feedback._transport import xavier_uniform


@dataclass(frozen=True)
class FeedbackAlignment(Transporting):
    """Sends error signals backwards through fixed random weights.

    δ passes each layer through a random, fixed B instead of the transposed weight Wᵀ.

    Use it as the reference for learning without weight transport. The forward weights align with
    B while they learn, well on small dense networks and badly on deep convolutional ones.

    Biased; exact where B = Wᵀ. Costs one forward and one backward pass.

    Source: Lillicrap, Cownden, Tweed and Akerman (2016), arXiv:1411.0247.

    Example:
        >>> estimator = FeedbackAlignment(scale=0.5)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: entries are uniform in ±scale·√(6/(fan-in + fan-out))."""

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return xavier_uniform(weight, self.scale, rng)

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return kept
