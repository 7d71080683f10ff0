"""The forward gradient along sparse directions, after Liu et al. (2024)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Law, Params
from estimators.core.laws import forward_gradient_variance
from estimators.core.noise import stacked_tangents
from estimators.core.objective import Objective
from estimators.perturbation._directions.slopes import Sample, UnbiasedDirectional


@dataclass(frozen=True)
class SparseForwardGradient(UnbiasedDirectional):
    """Moves only a random part of the weights at a time.

    ĝ = 1/K Σ_k (∇L·v_k) v_k with v = m u / √ρ: the mask m lets each weight move with probability ρ.

    Use it where sparse updates are wanted. It does not reduce the variance:
    tr Var ĝ = (d + κ₄/ρ − 2)/K ‖∇L‖² (κ₄ = 1 for signs, 3 for normals) is hardly above that of
    dense directions while ρ d is large.

    Unbiased. Costs K forward-mode passes and stores no activations.

    Source: after Liu et al. (2024), arXiv:2402.15751, who choose the mask by the size of the
    weights; here it is random, so that the mean is the gradient.

    Example:
        >>> estimator = SparseForwardGradient(density=0.25)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    density: Annotated[float, Gt(0), Le(1), Unit("fraction")] = 0.1
    """Probability that a weight moves (ρ), independently of the others."""
    tangents: Annotated[int, Ge(1), Le(4096), Unit("tangents")] = 1
    """Directions that one estimate averages over (K); each costs a forward-mode pass."""
    noise: Literal["rademacher", "normal"] = "rademacher"
    """Distribution of the entries u that move: signs ±1 or normals."""

    def sampler(self, params: Params, rng: Generator, /) -> Sample:
        def sample(count: int) -> list[Tensor]:
            v = stacked_tangents(params, self.noise, rng, count)
            for t in v:
                moves = torch.empty_like(t).bernoulli_(self.density, generator=rng)
                t.mul_(moves).mul_(self.density**-0.5)
            return v

        return sample

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        return Law(
            forward_gradient_variance(exact, self.noise, self.tangents, density=self.density)
        )
