"""Feedback alignment: Lillicrap, Cownden, Tweed and Akerman (2016), arXiv:1411.0247."""

from dataclasses import dataclass
from typing import Annotated

from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.feedback._feedback_weights import Transporting
from estimators.feedback._transport import xavier_uniform


@dataclass(frozen=True)
class FeedbackAlignment(Transporting):
    """δ passes each layer through B, random and fixed, instead of the transposed weight.

    Exact where B = Wᵀ; the forward weights come to align with B as they learn.
    """

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: entries are uniform in ±scale·√(6/(fan-in + fan-out))."""

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return xavier_uniform(weight, self.scale, rng)

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return kept
