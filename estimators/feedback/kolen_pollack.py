"""The algorithm of Kolen and Pollack (1994)."""

from dataclasses import dataclass
from typing import Annotated

from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le
from estimators.feedback._feedback_weights import Transporting
from estimators.feedback._transport import xavier_uniform


@dataclass(frozen=True)
class KolenPollack(Transporting):
    """Feedback weights that take the same updates as the forward weights, and decay.

    W ← W + u − λW and B ← B + uᵀ − λB, so that B − Wᵀ ← (1 − λ)(B − Wᵀ) and the gradient tends to
    the exact one. Only the difference B − Wᵀ is kept; B takes the update that W took, whatever the
    optimiser. It is the paper's rule if the optimiser decays the weights by λ at each step (AdamW:
    lr · weight_decay = λ); otherwise B still approaches Wᵀ at this rate.

    Use it where feedback weights may learn but weights may not be transported. It reaches
    backpropagation after about 1/λ steps.

    Biased until B has converged to Wᵀ. Costs one forward and one backward pass.

    Source: Kolen and Pollack (1994), "Backpropagation without weight transport"; as a circuit,
    Akrout, Wilson, Humphreys, Lillicrap and Tweed (2019), arXiv:1904.05391.

    Example:
        >>> estimator = KolenPollack(decay=0.01)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Kolen–Pollack"

    decay: Annotated[float, Ge(0), Le(1)] = 1e-3
    """Share of the difference between B and Wᵀ that a step removes (λ)."""
    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the initial feedback: entries are uniform in ±scale·√(6/(fan-in + fan-out))."""

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return xavier_uniform(weight, self.scale, rng).sub_(weight)

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return weight + kept

    def learn(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return kept * (1 - self.decay)
