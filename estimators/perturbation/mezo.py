"""Memory-efficient zeroth-order descent (MeZO) of Malladi et al. (2023)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Generator

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Cost, Estimate, Law, Params
from estimators.core.objective import Objective
from estimators.perturbation._directions.differences import AntitheticPairs, law_of_differences
from estimators.perturbation._directions.replay import Entries, LazyGradient, losses_at_pairs


@dataclass(frozen=True)
class MeZO(AntitheticPairs):
    """SPSA in the memory of inference: directions are drawn again instead of stored.

    ĝ = 1/K Σ_k [L(θ + ε v_k) − L(θ − ε v_k)] / 2ε · v_k, kept as K seeds and coefficients. θ ± ε v
    exists for one stage at a time while that stage runs, and each tensor of the gradient is made
    when it is read.

    Use it for models that fit into memory only once. On small networks, `SPSA` gives the same
    numbers without drawing each direction several times.

    Biased by O(ε²), exactly unbiased on a quadratic. Costs 2K forward passes: the loss that it
    reports is the mean of those at θ ± ε v, L(θ) + O(ε²).

    Source: Malladi, Gao, Nichani, Damian, Lee, Chen and Arora (2023), arXiv:2305.17333; K > 1 is
    their n-SPSA.

    Example:
        >>> estimator = MeZO(pairs=4)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    eps: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 1e-3
    """Length of a step along v, each way (ε). If it is too small, rounding errors dominate."""
    pairs: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Antithetic pairs that one estimate averages over (K); each costs two forward passes."""
    noise: Entries = "normal"
    """Distribution of a direction v: normals, as published, or signs ±1."""

    reports_nearby_loss: ClassVar[bool] = True

    def cost(self, objective: Objective, /) -> Cost:
        return Cost(forwards=2 * self.pairs)

    @torch.no_grad()
    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        directions, losses = losses_at_pairs(
            objective, params, self.noise, self.eps, self.pairs, rng
        )
        slopes = (losses[:, 0] - losses[:, 1]) / (2 * self.eps)
        return Estimate(LazyGradient(directions, slopes.unbind()), losses.mean())

    def difference_step(self, params: Params, /) -> float:
        return 2 * self.eps

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        return law_of_differences(exact, self.noise, self.pairs)
