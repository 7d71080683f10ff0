"""The weight mirror: Akrout, Wilson, Humphreys, Lillicrap and Tweed (2019), arXiv:1904.05391."""

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
    """B ← (1 − λ) B + η/N Σ_n ξ_n (W ξ_n)ᵀ: each layer is shown noise ξ, and B learns from it.

    E[ξ (W ξ)ᵀ] = Wᵀ, so that B tends to (η/λ) Wᵀ while W stands still. Noise is drawn anew for
    every layer, as wide as one output's receptive field, and W ξ is taken before the
    non-linearity. At every step one mirror phase follows the estimate.
    """

    rate: Annotated[float, Gt(0), Le(1)] = 0.05
    """How much of the mirrored weight B takes in at a step (η)."""
    decay: Annotated[float, Ge(0), Le(1)] = 0.05
    """How much of itself B gives up at a step (λ); without it, B grows on and on."""
    draws: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 64
    """Noise vectors shown to each layer at a step (N)."""
    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the first feedback: entries are uniform in ±scale·√(6/(fan-in + fan-out))."""

    def cost(self, objective: Chain, /) -> Cost:
        share = self.draws / len(objective.x)  # a forward pass, and half of a backward one
        return Cost(forwards=1 + share, vjps=1 + share / 2, stored="all")

    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        return xavier_uniform(weight, self.scale, rng)

    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        return kept

    def learn(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        w, b = weight.flatten(1), kept.flatten(1)
        noise = w.new_empty(self.draws, w.shape[1]).normal_(generator=rng)
        shown = noise @ w.T
        mirrored = torch.addmm(b, shown.T, noise, beta=1 - self.decay, alpha=self.rate / self.draws)
        return mirrored.view(kept.shape)
