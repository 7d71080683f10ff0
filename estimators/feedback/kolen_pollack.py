"""The Kolen–Pollack algorithm: Kolen and Pollack (1994); as a circuit, Akrout, Wilson,
Humphreys, Lillicrap and Tweed (2019), arXiv:1904.05391.
"""

from dataclasses import dataclass
from typing import Annotated

from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le
from estimators.feedback._feedback_weights import Transporting
from estimators.feedback._transport import xavier_uniform


@dataclass(frozen=True)
class KolenPollack(Transporting):
    """W and Bᵀ take the same updates u, and both decay: W ← W + u − λW, B ← B + uᵀ − λB.

    So B − Wᵀ ← (1 − λ)(B − Wᵀ), and the gradient tends to the exact one. B takes the update that
    W really took, whatever the optimiser; the difference is all that is kept. It is the paper's
    rule where the optimiser decays the weights by λ a step (AdamW: lr·weight_decay = λ); where
    it does not, B still closes up at this rate.
    """

    title = "Kolen–Pollack"

    decay: Annotated[float, Ge(0), Le(1)] = 1e-3
    """Share of the difference between B and Wᵀ that a step takes away (λ)."""
    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the first feedback: entries are uniform in ±scale·√(6/(fan-in + fan-out))."""

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return xavier_uniform(weight, self.scale, rng).sub_(weight)

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return weight + kept

    def learn(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return kept * (1 - self.decay)
