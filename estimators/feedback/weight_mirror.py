"""The weight mirror of Akrout et al. (2019)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Cost
from estimators.core.objective import Chain
from estimators.feedback._feedback_weights import Transporting
from estimators.feedback._transport import xavier_uniform


@dataclass(frozen=True)
class WeightMirror(Transporting):
    """Feedback weights that learn the transposed weights from noise.

    B ← (1 − λ) B + η/N Σ_n ξ_n (W ξ_n)ᵀ, with noise ξ at the input of each layer. E[ξ (W ξ)ᵀ] = Wᵀ,
    so that B tends to (η/λ) Wᵀ at constant W. The noise is independent for every layer, as wide as
    one output's receptive field, and W ξ is taken before the non-linearity. One such mirror phase
    follows every estimate.

    Use it where feedback weights may learn and the optimiser's updates are unknown to them; else
    `KolenPollack` learns without extra passes.

    Biased; exact where B = Wᵀ. Costs one forward and one backward pass, and N/B of a pass for the
    mirror phase.

    Source: Akrout, Wilson, Humphreys, Lillicrap and Tweed (2019), arXiv:1904.05391.

    Example:
        >>> estimator = WeightMirror(draws=16)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    rate: Annotated[float, Gt(0), Le(1)] = 0.05
    """Learning rate of B (η): the weight of the mirrored W at each step."""
    decay: Annotated[float, Ge(0), Le(1)] = 0.05
    """Weight decay of B at each step (λ); without it, B grows without bound."""
    draws: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 64
    """Noise vectors at the input of each layer, at each step (N)."""
    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the initial feedback: entries are uniform in ±scale·√(6/(fan-in + fan-out))."""

    def cost(self, objective: Chain, /) -> Cost:
        share = self.draws / len(objective.x)  # of a forward pass and half a backward pass
        return Cost(forwards=1 + share, vjps=1 + share / 2, stored="all")

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return xavier_uniform(weight, self.scale, rng)

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return kept

    def learn(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        w, b = weight.flatten(1), kept.flatten(1)
        noise = w.new_empty(self.draws, w.shape[1]).normal_(generator=rng)
        outputs = noise @ w.T
        mirrored = torch.addmm(
            b, outputs.T, noise, beta=1 - self.decay, alpha=self.rate / self.draws
        )
        return mirrored.view(kept.shape)
