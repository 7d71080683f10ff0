"""Simultaneous perturbation stochastic approximation (SPSA) of Spall (1992)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Estimate, Law, Params
from estimators.core.noise import Noise, tangents
from estimators.core.objective import Objective
from estimators.perturbation._directions.differences import (
    AntitheticPairs,
    central_difference,
    law_of_differences,
    mean_along,
)


@dataclass(frozen=True)
class SPSA(AntitheticPairs):
    """Compares the loss at two points on either side, along random directions.

    ĝ = 1/K Σ_k [L(θ + ε v_k) − L(θ − ε v_k)] / 2ε · v_k, averaged over antithetic pairs. Spall
    divides by each entry of v instead: the same for signs, and of infinite variance for normals.

    Use it where the loss can only be computed, not differentiated. Its variance is that of the
    forward gradient, so prefer `ForwardGradient` where forward mode works; `MeZO` gives the same
    numbers in less memory.

    Biased by O(ε²), exactly unbiased on a quadratic. Costs 2K + 1 forward passes.

    Source: Spall (1992), IEEE Trans. Automatic Control 37(3), 332–341; averaged pairs as in
    Salimans et al. (2017), arXiv:1703.03864.

    Example:
        >>> estimator = SPSA(pairs=4, eps=1e-3)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    eps: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 1e-3
    """Length of a step along v, each way (ε). If it is too small, rounding errors dominate."""
    pairs: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Antithetic pairs that one estimate averages over (K); each costs two forward passes."""
    noise: Noise = "rademacher"
    """Distribution of a direction v: signs ±1, normals, or the sphere of radius √d."""

    @torch.no_grad()
    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        def slope(v: list[Tensor]) -> Tensor:
            return central_difference(objective, params, v, self.eps)

        grads = mean_along(lambda: tangents(params, self.noise, rng), slope, self.pairs)
        return Estimate(dict(zip(params, grads, strict=True)), objective(params))

    def difference_step(self, params: Params, /) -> float:
        return 2 * self.eps

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        return law_of_differences(exact, self.noise, self.pairs)
