"""Gaussian smoothing: Nesterov and Spokoiny (2017), Found. Comput. Math. 17, 527–566."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Claim, Cost, Estimate, Estimator, Law, Params
from estimators.core.laws import LEADING, forward_gradient_variance
from estimators.core.noise import tangents
from estimators.core.objective import Objective
from estimators.core.vectors import mean_of, plus, scale_


@dataclass(frozen=True)
class GaussianSmoothing(Estimator[Objective, None]):
    """ĝ = 1/K Σ_k [L(θ + μ u_k) − L(θ)] / μ · u_k, with u_k normal: one pass more a draw.

    Its mean is the gradient of the smoothed loss E L(θ + μ u), O(μ²) from that of L and the
    same on a quadratic. One-sided draws scatter more, by μ/2 (uᵀHu) u; central ones cost twice.
    """

    mu: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 1e-3
    """Width of the smoothing (μ). Too small, and rounding takes over."""
    draws: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Directions that one estimate averages over (K)."""
    difference: Literal["one-sided", "central"] = "one-sided"
    """one-sided: against the loss at θ. central: [L(θ + μu) − L(θ − μu)] / 2μ."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def cost(self, objective: Objective, /) -> Cost:
        each = 1 if self.difference == "one-sided" else 2
        return Cost(forwards=each * self.draws + 1)  # one at θ itself

    @torch.no_grad()
    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        theta, loss = list(params.values()), objective(params)

        def loss_at(u: list[Tensor], mu: float) -> Tensor:
            return objective(dict(zip(params, plus(theta, u, mu), strict=True)))

        def slope(u: list[Tensor]) -> Tensor:
            if self.difference == "one-sided":
                return (loss_at(u, self.mu) - loss) / self.mu
            return (loss_at(u, self.mu) - loss_at(u, -self.mu)) / (2 * self.mu)

        def draw() -> tuple[list[Tensor], None]:
            u = tangents(params, "normal", rng)
            scale_(u, slope(u))
            return u, None

        grads, _ = mean_of(draw, self.draws)
        return Estimate(dict(zip(params, grads, strict=True)), loss)

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        return Law(forward_gradient_variance(exact, "normal", self.draws), note=LEADING)
