"""MeZO, zeroth-order descent in the memory of inference: Malladi, Gao, Nichani, Damian, Lee,
Chen and Arora (2023), arXiv:2305.17333; with K draws, their n-SPSA.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Claim, Cost, Estimate, Estimator, Law, Params
from estimators.core.laws import LEADING, forward_gradient_variance
from estimators.core.objective import Objective
from estimators.perturbation._directions.replay import Direction, Entries, LazyGradient, loss_along


@dataclass(frozen=True)
class MeZO(Estimator[Objective, None]):
    """ĝ = 1/K Σ_k [L(θ + ε v_k) − L(θ − ε v_k)] / 2ε · v_k, kept as seeds and coefficients.

    The numbers of SPSA; no direction is ever stored. θ ± ε v exists for one stage at a time
    while that stage runs, and each tensor of the gradient is made when it is asked for.
    Biased by O(ε²), not at all on a quadratic.
    """

    eps: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 1e-3
    """Length of a step along v, each way (ε). Too small, and rounding takes over."""
    pairs: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Antithetic pairs that one estimate averages over (K); each costs two forward passes."""
    noise: Entries = "normal"
    """What a direction v is drawn from: normals, as published, or signs ±1."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def cost(self, objective: Objective, /) -> Cost:
        return Cost(forwards=2 * self.pairs + 1)  # one at θ itself, for the loss

    @torch.no_grad()
    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        directions: list[Direction] = []
        slopes: list[Tensor] = []
        for _ in range(self.pairs):
            v = Direction(params, self.noise, rng)
            ahead = loss_along(objective, params, v, self.eps)
            behind = loss_along(objective, params, v, -self.eps)
            v.finish(rng)
            directions.append(v)
            slopes.append((ahead - behind) / (2 * self.eps))
        return Estimate(LazyGradient(directions, slopes), objective(params))

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        return Law(forward_gradient_variance(exact, self.noise, self.pairs), note=LEADING)
