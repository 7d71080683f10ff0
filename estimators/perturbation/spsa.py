"""Simultaneous perturbation (SPSA): Spall (1992), IEEE Trans. Automatic Control 37(3).

Averaged over antithetic pairs, as in Salimans et al. (2017), arXiv:1703.03864.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Claim, Cost, Estimate, Estimator, Law, Params
from estimators.core.laws import LEADING, forward_gradient_variance
from estimators.core.noise import Noise, tangents
from estimators.core.objective import Objective
from estimators.core.vectors import mean_of, plus, scale_


@dataclass(frozen=True)
class SPSA(Estimator[Objective, None]):
    """ĝ = 1/K Σ_k [L(θ + ε v_k) − L(θ − ε v_k)] / 2ε · v_k: forward passes, no derivative.

    Biased by O(ε²), not at all on a quadratic. Works where L can only be computed. Spall divides
    by each entry of v instead: the same for signs, and without a variance for normals.
    """

    eps: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 1e-3
    """Length of a step along v, each way (ε). Too small, and rounding takes over."""
    pairs: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Antithetic pairs that one estimate averages over (K); each costs two forward passes."""
    noise: Noise = "rademacher"
    """What a direction v is drawn from: signs ±1, normals, or the sphere of radius √d."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def cost(self, objective: Objective, /) -> Cost:
        return Cost(forwards=2 * self.pairs + 1)  # one at θ itself, for the loss

    @torch.no_grad()
    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        theta = list(params.values())

        def loss_at(v: list[Tensor], eps: float) -> Tensor:
            return objective(dict(zip(params, plus(theta, v, eps), strict=True)))

        def draw() -> tuple[list[Tensor], None]:
            v = tangents(params, self.noise, rng)
            scale_(v, (loss_at(v, self.eps) - loss_at(v, -self.eps)) / (2 * self.eps))
            return v, None

        grads, _ = mean_of(draw, self.pairs)
        return Estimate(dict(zip(params, grads, strict=True)), objective(params))

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        return Law(forward_gradient_variance(exact, self.noise, self.pairs), note=LEADING)
