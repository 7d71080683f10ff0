"""The hybrid zeroth-order gradient of Sharma et al. (2020)."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Lt, Unit
from estimators.core.contract import Claim, Cost, Estimate, Estimator, Law, Params
from estimators.core.laws import LEADING, forward_gradient_variance, scaled
from estimators.core.noise import Noise, tangents
from estimators.core.objective import Objective
from estimators.core.vectors import scale_
from estimators.perturbation._directions.differences import central_difference, mean_along


@dataclass(frozen=True)
class CoordinateImportance(Estimator[Objective, list[Tensor]]):
    """Mixes differences along random directions with differences along important coordinates.

    ĝ = α 1/K Σ_k D(v_k) v_k + (1 − α) Σ_{i drawn} D(e_i) / p_i · e_i, with D(v) the central
    difference of the loss along v. C coordinates are drawn without repetition. The probability p_i
    of a coordinate grows with its entry in a running mean of past estimates; the division by p_i
    keeps the choice out of the mean.

    Use it where the loss can only be computed and few coordinates carry most of the gradient. On
    networks whose gradient is spread evenly, `SPSA` is as good at the same number of passes.

    Biased by O(ε²); with α = 0 and C = d it is exact on a quadratic. Costs 2(K + C) + 1 forward
    passes.

    Source: Sharma, Xu, Liu, Chen, Lin and Varshney (2020), arXiv:2012.11518.

    Example:
        >>> estimator = CoordinateImportance(mix=0.25, coordinates=16)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    mix: Annotated[float, Ge(0), Le(1)] = 0.5
    """Weight α of the random directions; the coordinates have the rest."""
    pairs: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Random directions (K); each costs two forward passes."""
    coordinates: Annotated[int, Ge(1), Le(4096), Unit("weights")] = 8
    """Coordinates drawn (C), at most all d; each costs two forward passes."""
    eps: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 1e-3
    """Length of a step along a random direction, each way (ε)."""
    coordinate_eps: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 1e-2
    """Length of a step along one coordinate: longer, since one weight changes the loss less."""
    uniform: Annotated[float, Gt(0), Le(1)] = 0.2
    """Share of the probability that is spread evenly, so that every coordinate can be drawn."""
    memory: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Share of the running mean that is kept at each step."""
    noise: Noise = "rademacher"
    """Distribution of a direction v: signs ±1, normals, or the sphere of radius √d."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def cost(self, objective: Objective, /) -> Cost:
        pairs = self.pairs if self.mix > 0 else 0
        coordinates = self.coordinates if self.mix < 1 else 0
        return Cost(forwards=2 * (pairs + coordinates) + 1)  # one at θ itself, for the loss

    def init(self, objective: Objective, params: Params, rng: Generator, /) -> list[Tensor]:
        return [torch.zeros_like(p) for p in params.values()]

    @torch.no_grad()
    def estimate(
        self, objective: Objective, params: Params, state: list[Tensor], rng: Generator, /
    ) -> Estimate:
        grads = [torch.zeros_like(m) for m in state]
        if self.mix > 0:
            grads = mean_along(
                lambda: tangents(params, self.noise, rng),
                lambda v: central_difference(objective, params, v, self.eps),
                self.pairs,
            )
            scale_(grads, self.mix)
        if self.mix < 1:
            p = inclusion(self._importance(state), self.coordinates)
            for i in drawn(p, rng):
                self._add_coordinate(objective, params, grads, int(i), p[i])
        kept = [torch.lerp(g, m, self.memory) for g, m in zip(grads, state, strict=True)]
        return Estimate(dict(zip(params, grads, strict=True)), objective(params), kept)

    def advance(
        self, objective: Objective, params: Params, state: list[Tensor], rng: Generator, /
    ) -> list[Tensor]:
        return self.estimate(objective, params, state, rng).state

    def difference_step(self, params: Params, /) -> float:
        return 2 * self.eps

    def law(
        self, objective: Objective, params: Params, state: list[Tensor], exact: Params, /
    ) -> Law:
        """α² of the law along directions, and (1 − α)² Σ_i (1/p_i − 1) g_i² over the tensor."""
        variance = scaled(forward_gradient_variance(exact, self.noise, self.pairs), self.mix**2)
        p = inclusion(self._importance(state), self.coordinates)
        pieces = (1 / p - 1).split([g.numel() for g in exact.values()])
        for (name, g), factor in zip(exact.items(), pieces, strict=True):
            own = (factor * g.reshape(-1).double().square()).sum().item()
            variance[name] += (1 - self.mix) ** 2 * own
        return Law(variance, note=LEADING)

    def _importance(self, mean: list[Tensor]) -> Tensor:
        """Weights of the coordinates that sum to 1, (d,), from the running mean."""
        weights = torch.cat([m.reshape(-1) for m in mean]).double().abs()
        total = weights.sum()
        even = torch.full_like(weights, 1 / len(weights))
        # The mean is zero at the first step, and not finite after a loss that was not finite.
        if not (total.isfinite() and total > 0):
            return even
        return torch.lerp(weights / total, even, self.uniform)

    def _add_coordinate(
        self, objective: Objective, params: Params, grads: list[Tensor], i: int, p: Tensor
    ) -> None:
        """Add (1 − α) D(e_i) / p_i · e_i to the gradients."""
        ends = list(accumulate(t.numel() for t in params.values()))
        place = bisect_right(ends, i)
        name = list(params)[place]
        j = i - ends[place] + params[name].numel()
        moved = params[name].clone(memory_format=torch.contiguous_format)
        entry = moved.view(-1)[j]
        value = entry.clone()

        def loss_moved_by(eps: float) -> Tensor:
            entry.copy_(value + eps)
            return objective({**params, name: moved})

        slope = loss_moved_by(self.coordinate_eps) - loss_moved_by(-self.coordinate_eps)
        single = torch.zeros_like(moved).view(-1)
        single[j] = (1 - self.mix) * slope / (2 * self.coordinate_eps * p)
        grads[place].add_(single.view_as(moved))


def inclusion(weights: Tensor, count: int) -> Tensor:
    """Return probabilities min(1, c · weights) that sum to `count`, (d,); all 1 if `count` ≥ d."""
    if count >= len(weights):
        return torch.ones_like(weights)
    sure = torch.zeros_like(weights, dtype=torch.bool)
    while True:
        rest = weights.masked_fill(sure, 0)
        p = torch.where(sure, 1.0, rest * ((count - sure.sum()) / rest.sum()))
        if not (p > 1).any():
            return p
        sure |= p > 1


def drawn(p: Tensor, rng: Generator) -> Tensor:
    """Draw each index at most once, with its probability in `p`, by systematic sampling."""
    ends = p.cumsum(0)
    count = round(float(ends[-1]))
    first = torch.rand((), dtype=p.dtype, device=p.device, generator=rng)
    ticks = first + torch.arange(count, dtype=p.dtype, device=p.device)
    return torch.searchsorted(ends, ticks, right=True).clamp(max=len(p) - 1)
