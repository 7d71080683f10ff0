"""The evolution strategy of Salimans et al. (2017)."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Estimate, Law, Params
from estimators.core.laws import LEADING, squares
from estimators.core.objective import Objective
from estimators.perturbation._directions.differences import AntitheticPairs, law_of_differences
from estimators.perturbation._directions.replay import LazyGradient, losses_at_pairs


@dataclass(frozen=True)
class EvolutionStrategy(AntitheticPairs):
    """Weighs a population of normal perturbations by their fitness.

    ĝ = 1/(2Kσ) Σ_k [F(θ + σ v_k) − F(θ − σ v_k)] v_k, with v_k normal and F the loss or its rank.

    Use it where the loss can only be computed, is noisy or has steps: its mean is the gradient of
    the smoothed loss E L(θ + σ v). With ranks, any increasing function of the loss gives the same
    ĝ, so that outliers do no harm; only the direction of ĝ has a meaning then, not its length.

    Biased by O(σ²), exactly unbiased on a quadratic with `fitness="loss"`. Costs 2K + 1 forward
    passes.

    Source: Salimans, Ho, Chen, Sidor and Sutskever (2017), arXiv:1703.03864.

    Example:
        >>> estimator = EvolutionStrategy(sigma=0.05, pairs=8, fitness="ranks")
        >>> measured = measure(net, loss, batch, [estimator])
    """

    sigma: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 0.02
    """Standard deviation of the perturbed weights (σ)."""
    pairs: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 4
    """Antithetic pairs of the population (K); each costs two forward passes."""
    fitness: Literal["loss", "ranks"] = "loss"
    """loss: as it is. ranks: its rank among all 2K losses, spread evenly over −½ … ½."""

    @torch.no_grad()
    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        directions, fitness = losses_at_pairs(
            objective, params, "normal", self.sigma, self.pairs, rng
        )
        if self.fitness == "ranks":
            fitness = centred_ranks(fitness.view(-1)).view(-1, 2)
        slopes = (fitness[:, 0] - fitness[:, 1]) / (2 * self.sigma)
        return Estimate(dict(LazyGradient(directions, slopes.unbind())), objective(params))

    def difference_step(self, params: Params, /) -> float:
        return 2 * self.sigma

    def law(
        self, objective: Objective, params: Params, state: None, exact: Params, /
    ) -> Law | None:
        if self.fitness == "loss":
            return law_of_differences(exact, "normal", self.pairs)
        slopes, along, scatter = _moments_of_ranks(self.pairs)
        size, unit = squares(exact), 2 * self.sigma
        total = sum(size.values())
        if total == 0:
            return None  # curvature alone orders the losses
        own = {name: square / total for name, square in size.items()}
        variance = {
            name: (slopes * (exact[name].numel() - share) + scatter * share) / unit**2
            for name, share in own.items()
        }
        mean = {name: g * (along / (unit * total**0.5)) for name, g in exact.items()}
        return Law(variance, mean, LEADING)


def centred_ranks(losses: Tensor) -> Tensor:
    """The ranks of n losses, (n,), spread evenly over −½ … ½; equal losses share their mean."""
    below = (losses.unsqueeze(0) < losses.unsqueeze(1)).sum(1)
    equal = (losses.unsqueeze(0) == losses.unsqueeze(1)).sum(1)
    ranks = below + (equal - 1) / 2
    return (ranks / (len(losses) - 1) - 0.5).to(losses.dtype)


def _moments_of_ranks(K: int) -> tuple[float, float, float]:
    """(Σ_k s_k²/K², E T, Var T) of T = 1/K Σ_k s_k t_k, t_k normal: K pairs of losses ±t_k.

    s_k, the difference of a pair's centred ranks, is (2 r_k − 1)/(2K − 1) with the sign of t_k, r_k
    the rank of |t_k| among the K. So Σ s_k² is constant, and T is a sum of |t_k| and of
    max(|t_j|, |t_k|), whose moments follow from the half-normal distribution.
    """
    top = 2 * K - 1
    slopes = (2 * K + 1) / (3 * top * K)
    along = (math.sqrt(2 / math.pi) + 2 * (K - 1) / math.sqrt(math.pi)) / top
    mean, mean_max = math.sqrt(2 / math.pi), 2 / math.sqrt(math.pi)  # E|t|, E max(|t_1|, |t_2|)
    single = 1 - mean**2
    mixed = 1 / 2 + 2 / math.pi - mean * mean_max  # Cov(|t_1|, max(|t_1|, |t_2|))
    pair = 1 + 2 / math.pi - mean_max**2  # Var max(|t_1|, |t_2|)
    shared = 1 / 3 + 2 * math.sqrt(3) / math.pi - mean_max**2  # Cov of two that share a number
    pairs = K * (K - 1) / 2
    spread = K * single + 8 * pairs * mixed + 4 * pairs * (pair + 2 * (K - 2) * shared)
    return slopes, along, spread / (K * top) ** 2
