"""The forward gradient: Baydin, Pearlmutter, Syme, Wood and Torr (2022), arXiv:2202.08587.

Signs, and their scale: Shukla and Shin (2023), arXiv:2310.14168. Orthogonal projection on
several tangents: Flügel et al. (2024), arXiv:2410.17764. One noise an example: Ren et al.
(2022), arXiv:2210.03310, Table 1.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import (
    Claim,
    Estimate,
    Law,
    Need,
    Params,
    UnsupportedError,
)
from estimators.core.laws import (
    dimension,
    direction_factors,
    direction_mean,
    forward_gradient_variance,
    split,
    squares,
    squares_of_examples,
)
from estimators.core.noise import Noise, kurtosis, stacked_tangents
from estimators.core.objective import Chain, Objective
from estimators.core.vectors import squared_lengths, weighted_sum
from estimators.perturbation._directions.slopes import (
    Directional,
    mean_over,
    mean_over_examples,
    portions,
    refuse_company,
    slopes,
)
from estimators.perturbation._directions.span import span_weights

Grads = list[Tensor]


@dataclass(frozen=True)
class ForwardGradient(Directional[None]):
    """ĝ = 1/K Σ_k (∇L·v_k) v_k, with v_k in the space of the weights, one for the whole batch.

    tr Var ĝ = (d ± 1)/K ‖∇L‖²: it grows with the number of parameters d. `orthogonal`
    combines the tangents to d/K P ∇L, P the projection on their span: exact for K = d.
    """

    tangents: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Directions that one estimate combines (K); each costs a forward-mode pass."""
    noise: Noise = "rademacher"
    """What a direction v is drawn from: signs ±1, normals, or the sphere of radius √d."""
    scale: Literal["raw", "projected", "shukla_shin"] = "raw"
    """raw: unbiased. projected: divided by ‖v‖², the projection of ∇L on v, about d shorter.
    shukla_shin: times 1/(d + κ₄ − 1), κ₄ = E v_i⁴, of the least expected error."""
    combine: Literal["mean", "orthogonal"] = "mean"
    """mean: the average over tangents. orthogonal: the projection of ∇L on the tangents' span,
    K at most d; all K are kept. Raw, it is d/K times as long; else the projection itself."""
    per: Literal["batch", "example"] = "batch"
    """batch: one direction for all examples. example: each example has its own, so that the
    noise averages out over the batch, for B times the random numbers."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.UNBIASED if self.scale == "raw" else Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        separable = (Need.SEPARABLE,) if self.per == "example" else ()
        return (*super().needs(), *separable)

    def check(self, objective: Objective, params: Params, /) -> None:
        if self.per == "example":
            refuse_company(objective, params)
        if self.combine == "mean":
            return
        if self.per == "example":
            raise UnsupportedError(
                "combine='orthogonal' projects one gradient, the batch's, and per='example' has "
                "one for each example; choose combine='mean' or per='batch'"
            )
        if self.tangents > (d := dimension(params)):
            raise UnsupportedError(
                f"tangents is {self.tangents}, and the network has {d} parameters: no more than "
                f"{d} directions are independent, so combine='orthogonal' takes 1 to {d}"
            )

    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        self.check(objective, params)
        if self.combine == "orthogonal":
            grads, loss = self._project(objective, params, rng)
        else:
            grads, loss = self._average(objective, params, rng)
        return Estimate(dict(zip(params, grads, strict=True)), loss)

    def _average(
        self, objective: Objective, params: Params, rng: Generator
    ) -> tuple[Grads, Tensor]:
        def draw(count: int) -> list[Tensor]:
            return stacked_tangents(params, self.noise, rng, count)

        def weigh(c: Tensor, v: list[Tensor]) -> Tensor:
            if self.scale == "raw":
                return c
            if self.scale == "projected":
                return c / squared_lengths(v)
            return c / (dimension(params) + kurtosis(self.noise) - 1)

        if self.per == "example":
            assert isinstance(objective, Chain)
            return mean_over_examples(objective, params, draw, self.tangents, weigh)
        return mean_over(objective, params, draw, self.tangents, weigh)

    def _project(
        self, objective: Objective, params: Params, rng: Generator
    ) -> tuple[Grads, Tensor]:
        v = stacked_tangents(params, self.noise, rng, self.tangents)
        parts, start = [], 0
        for some in portions(self.tangents, objective, params):
            parts.append(slopes(objective, params, [t[start : start + some] for t in v]))
            start += some
        weights, rank = span_weights(v, torch.cat([c for _, c in parts]))
        if self.scale == "raw":
            weights = weights * (dimension(params) / rank)
        return weighted_sum(v, weights), parts[0][0]

    def law(
        self, objective: Objective, params: Params, state: None, exact: Params, /
    ) -> Law | None:
        d, K = dimension(exact), self.tangents
        signs = self.noise == "rademacher"
        if self.combine == "orthogonal" and not signs:
            mean = 1.0 if self.scale == "raw" else K / d
            return _law(_span_variance(exact, K, mean), mean, exact)
        if self.combine == "orthogonal" and K > 1:
            return None  # the span of several sign vectors is not isotropic
        mean = direction_mean(d, self.noise, self.scale)
        if self.per == "example":
            if not isinstance(objective, Chain):
                return None
            factors = direction_factors(d, self.noise, K, self.scale)
            found = split(squares_of_examples(objective, params), exact, *factors)
        else:
            found = forward_gradient_variance(exact, self.noise, K, self.scale)
        return _law(found, mean, exact)


def _law(variance: dict[str, float], mean: float, exact: Params) -> Law:
    return Law(variance, None if mean == 1 else {n: g * mean for n, g in exact.items()})


def _span_variance(exact: Params, tangents: int, mean: float) -> dict[str, float]:
    """tr Var of c P g, tensor by tensor; P projects on the span of K isotropic tangents.

    E‖P g‖² splits as α d_l‖g‖² + β‖g_l‖², α = K(d − K)/(d(d + 2)(d − 1)) and
    α + β = K(K + 2)/(d(d + 2)). `mean` is c K/d: in all, (d/K − 1)‖g‖² where it is 1, raw, and
    K/d (1 − K/d)‖g‖² for the projection itself.
    """
    d, K = dimension(exact), tangents
    both = K * (K + 2) / (d * (d + 2))
    spread = K * (d - K) / (d * (d + 2) * (d - 1)) if d > 1 else 0.0
    square = (mean * d / K) ** 2
    return split(squares(exact), exact, square * spread, square * (both - spread) - mean**2)
