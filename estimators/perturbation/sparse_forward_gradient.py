"""The forward gradient along sparse directions: only some weights move at a time.

Sparse random perturbation of all weights, as in Liu et al. (2024), arXiv:2402.15751, who draw
the mask by the weights' size; here it is random, so that the mean is the gradient.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Claim, Estimate, Law, Params
from estimators.core.laws import forward_gradient_variance
from estimators.core.noise import stacked_tangents
from estimators.core.objective import Objective
from estimators.perturbation._directions.slopes import Directional, mean_over


@dataclass(frozen=True)
class SparseForwardGradient(Directional[None]):
    """ĝ = 1/K Σ_k (∇L·v_k) v_k,  v = m u / √ρ: each weight moves with probability ρ.

    tr Var ĝ = (d + κ₄/ρ − 2)/K ‖∇L‖², κ₄ = 1 for signs, 3 for normals: hardly more than with
    all weights moving as long as ρ d is large, for gradients that are zero elsewhere.
    """

    density: Annotated[float, Gt(0), Le(1), Unit("fraction")] = 0.1
    """Probability of a weight to move (ρ), each by itself."""
    tangents: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Directions that one estimate averages over (K); each costs a forward-mode pass."""
    noise: Literal["rademacher", "normal"] = "rademacher"
    """What the entries u that move are drawn from: signs ±1 or normals."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.UNBIASED

    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        def draw(count: int) -> list[Tensor]:
            v = stacked_tangents(params, self.noise, rng, count)
            for t in v:
                moves = torch.empty_like(t).bernoulli_(self.density, generator=rng)
                t.mul_(moves).mul_(self.density**-0.5)
            return v

        grads, loss = mean_over(objective, params, draw, self.tangents)
        return Estimate(dict(zip(params, grads, strict=True)), loss)

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        return Law(
            forward_gradient_variance(exact, self.noise, self.tangents, density=self.density)
        )
