"""Gaussian smoothing of Nesterov and Spokoiny (2017)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Claim, Cost, Estimate, Estimator, Law, Params
from estimators.core.noise import tangents
from estimators.core.objective import Objective
from estimators.perturbation._directions.differences import (
    central_difference,
    law_of_differences,
    loss_at,
    mean_along,
)


@dataclass(frozen=True)
class GaussianSmoothing(Estimator[Objective, None]):
    """Differences of the loss along normal directions, one-sided or central.

    ĝ = 1/K Σ_k [L(θ + μ u_k) − L(θ)] / μ · u_k, with u_k normal. Its mean is the gradient of the
    smoothed loss E L(θ + μ u).

    Use it where the loss can only be computed and forward passes are scarce: a one-sided draw
    costs one pass instead of the two of `SPSA`, and scatters more, by μ/2 (uᵀHu) u.

    Biased by O(μ²), exactly unbiased on a quadratic. Costs K + 1 forward passes, central 2K + 1.

    Source: Nesterov and Spokoiny (2017), Found. Comput. Math. 17, 527–566.

    Example:
        >>> estimator = GaussianSmoothing(draws=4, difference="central")
        >>> measured = measure(net, loss, batch, [estimator])
    """

    mu: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 1e-3
    """Width of the smoothing (μ). If it is too small, rounding errors dominate."""
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
        loss = objective(params)

        def slope(u: list[Tensor]) -> Tensor:
            if self.difference == "one-sided":
                return (loss_at(objective, params, u, self.mu) - loss) / self.mu
            return central_difference(objective, params, u, self.mu)

        grads = mean_along(lambda: tangents(params, "normal", rng), slope, self.draws)
        return Estimate(dict(zip(params, grads, strict=True)), loss)

    def difference_step(self, params: Params, /) -> float:
        return self.mu if self.difference == "one-sided" else 2 * self.mu

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        return law_of_differences(exact, "normal", self.draws)
