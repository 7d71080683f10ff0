"""The forward gradient of Baydin et al. (2022) and its published variants."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import (
    BatchedDraws,
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
    squares,
    squares_of_examples,
    variances_by_tensor,
)
from estimators.core.noise import Noise, kurtosis, stacked_tangents
from estimators.core.objective import Chain, Objective
from estimators.core.vectors import span_weights, squared_lengths, weighted_sum
from estimators.perturbation._directions.draws import weight_draws
from estimators.perturbation._directions.slopes import (
    Coefficients,
    Directional,
    Sample,
    mean_over,
    mean_over_examples,
    portions,
    require_single_losses,
    slopes,
)


@dataclass(frozen=True)
class ForwardGradient(Directional[None]):
    """Estimates the gradient from directional derivatives along random directions.

    ĝ = 1/K Σ_k (∇L·v_k) v_k, with v_k in the space of the weights, one for the whole batch.
    `combine="orthogonal"` gives ĝ = d/K P ∇L instead, with P the projection on the span of the
    K directions: exact for K = d.

    Use it where no backward pass is possible, and as the reference for all methods that perturb
    weights. tr Var ĝ = (d ± 1)/K ‖∇L‖² grows with the number of parameters d, so that large
    networks hardly learn from it; perturbing activities scatters less.

    Unbiased with `scale="raw"`, else biased (shortened). Costs K forward-mode passes and stores
    no activations.

    Source: Baydin, Pearlmutter, Syme, Wood and Torr (2022), arXiv:2202.08587. Signs and
    `shukla_shin`: Shukla and Shin (2023), arXiv:2310.14168. `orthogonal`: Flügel et al. (2024),
    arXiv:2410.17764. `per="example"`: Ren et al. (2022), arXiv:2210.03310, Table 1.

    Example:
        >>> estimator = ForwardGradient(tangents=8, noise="normal")
        >>> measured = measure(net, loss, batch, [estimator])
    """

    tangents: Annotated[int, Ge(1), Le(4096), Unit("tangents")] = 1
    """Directions that one estimate combines (K); each costs a forward-mode pass."""
    noise: Noise = "rademacher"
    """Distribution of a direction v: signs ±1, normals, or the sphere of radius √d."""
    scale: Literal["raw", "projected", "shukla_shin"] = "raw"
    """raw: unbiased. projected: divided by ‖v‖², the projection of ∇L on v, about d times shorter.
    shukla_shin: times 1/(d + κ₄ − 1), κ₄ = E v_i⁴, which minimises the expected squared error."""
    combine: Literal["mean", "orthogonal"] = "mean"
    """mean: the average over tangents. orthogonal: the projection of ∇L on the tangents' span,
    with K at most d; all K are kept in memory. Raw, it is multiplied by d/K."""
    per: Literal["batch", "example"] = "batch"
    """batch: one direction for all examples. example: each example has its own, so that the
    noise averages out over the batch, at B times as many random numbers."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.UNBIASED if self.scale == "raw" else Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        separable = (Need.SEPARABLE,) if self.per == "example" else ()
        return (*super().needs(), *separable)

    def check(self, objective: Objective, params: Params, /) -> None:
        if self.per == "example":
            require_single_losses(objective, params)
        self._check_span(params)

    def _check_span(self, params: Params) -> None:
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
        self._check_span(params)
        if self.combine == "orthogonal":
            grads, loss = self._project(objective, params, rng)
        else:
            mean = mean_over if self.per == "batch" else mean_over_examples
            sample, coefficients = self._sampler(params, rng), self._coefficients(params)
            grads, loss = mean(objective, params, sample, self.tangents, coefficients)
        return Estimate(dict(zip(params, grads, strict=True)), loss)

    def batched_draws(
        self, objective: Objective, params: Params, state: None, exact: Params | None,
        rng: Generator, /,
    ) -> BatchedDraws | None:  # fmt: skip
        if self.combine != "mean" or self.per != "batch":
            return None
        sample, coefficients = self._sampler(params, rng), self._coefficients(params)
        return weight_draws(objective, params, exact, sample, coefficients, self.tangents)

    def _sampler(self, params: Params, rng: Generator) -> Sample:
        return lambda count: stacked_tangents(params, self.noise, rng, count)

    def _coefficients(self, params: Params) -> Coefficients:
        d = dimension(params)

        def coefficients(c: Tensor, v: list[Tensor]) -> Tensor:
            if self.scale == "raw":
                return c
            if self.scale == "projected":
                return c / squared_lengths(v)
            return c / (d + kurtosis(self.noise) - 1)

        return coefficients

    def _project(
        self, objective: Objective, params: Params, rng: Generator
    ) -> tuple[list[Tensor], Tensor]:
        v = stacked_tangents(params, self.noise, rng, self.tangents)
        parts, start = [], 0
        for size in portions(self.tangents, objective, params):
            parts.append(slopes(objective, params, [t[start : start + size] for t in v]))
            start += size
        weights, rank = span_weights(v, torch.cat([c for _, c in parts]))
        if self.scale == "raw":
            weights = weights * (dimension(params) / rank)
        return weighted_sum(v, weights), parts[0][0]

    def law(
        self, objective: Objective, params: Params, state: None, exact: Params, /
    ) -> Law | None:
        d, K = dimension(exact), self.tangents
        if self.combine == "orthogonal" and self.noise != "rademacher":
            mean = 1.0 if self.scale == "raw" else K / d
            return _law(_span_variance(exact, K, mean), mean, exact)
        if self.combine == "orthogonal" and K > 1:
            return None  # the span of several sign vectors is not isotropic
        mean = direction_mean(d, self.noise, self.scale)
        if self.per == "batch":
            variance = forward_gradient_variance(exact, self.noise, K, self.scale)
            return _law(variance, mean, exact)
        if not isinstance(objective, Chain):
            return None
        factors = direction_factors(d, self.noise, K, self.scale)
        return _law(
            variances_by_tensor(squares_of_examples(objective, params), exact, *factors),
            mean,
            exact,
        )


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
    own = square * (both - spread) - mean**2
    return variances_by_tensor(squares(exact), exact, square * spread, own)
