"""The hybrid zeroth-order gradient, random directions beside important coordinates: Sharma, Xu,
Liu, Chen, Lin and Varshney (2020), arXiv:2012.11518.
"""

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
from estimators.core.vectors import mean_of, plus, scale_


@dataclass(frozen=True)
class CoordinateImportance(Estimator[Objective, list[Tensor]]):
    """ĝ = α 1/K Σ_k D(v_k) v_k + (1 − α) Σ_{i drawn} D(e_i) / p_i · e_i, D central differences.

    C coordinates are drawn without repetition, each with the probability p_i that grows with
    the size of its entry in a running mean of past estimates; the division by p_i takes the
    choice out of the mean. Biased by O(ε²); with α = 0 and C = d, exact on a quadratic.
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
    """Length of a step along one coordinate: longer, as it moves the loss much less."""
    uniform: Annotated[float, Gt(0), Le(1)] = 0.2
    """Share of the probability that is spread evenly, so that no coordinate is left out."""
    memory: Annotated[float, Ge(0), Lt(1)] = 0.9
    """What the running mean keeps of itself at each step."""
    noise: Noise = "rademacher"
    """What a direction v is drawn from: signs ±1, normals, or the sphere of radius √d."""

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
            grads = self._along_directions(objective, params, rng)
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

    def law(
        self, objective: Objective, params: Params, state: list[Tensor], exact: Params, /
    ) -> Law:
        """α² of the law along directions, and (1 − α)² Σ_i (1/p_i − 1) g_i² over the tensor."""
        found = scaled(forward_gradient_variance(exact, self.noise, self.pairs), self.mix**2)
        p = inclusion(self._importance(state), self.coordinates)
        pieces = (1 / p - 1).split([g.numel() for g in exact.values()])
        for (name, g), less in zip(exact.items(), pieces, strict=True):
            own = (less * g.reshape(-1).double().square()).sum().item()
            found[name] += (1 - self.mix) ** 2 * own
        return Law(found, note=LEADING)

    def _along_directions(
        self, objective: Objective, params: Params, rng: Generator
    ) -> list[Tensor]:
        theta = list(params.values())

        def loss_at(v: list[Tensor], eps: float) -> Tensor:
            return objective(dict(zip(params, plus(theta, v, eps), strict=True)))

        def draw() -> tuple[list[Tensor], None]:
            v = tangents(params, self.noise, rng)
            scale_(v, (loss_at(v, self.eps) - loss_at(v, -self.eps)) / (2 * self.eps))
            return v, None

        return mean_of(draw, self.pairs)[0]

    def _importance(self, mean: list[Tensor]) -> Tensor:
        weights = torch.cat([m.reshape(-1) for m in mean]).double().abs()
        total = weights.sum()
        even = torch.full_like(weights, 1 / len(weights))
        # All zero at the first step, and not finite behind a loss that was not.
        if not (total.isfinite() and total > 0):
            return even
        return torch.lerp(weights / total, even, self.uniform)

    def _add_coordinate(
        self, objective: Objective, params: Params, grads: list[Tensor], i: int, p: Tensor
    ) -> None:
        ends = list(accumulate(t.numel() for t in params.values()))
        place = bisect_right(ends, i)
        name = list(params)[place]
        j = i - ends[place] + params[name].numel()
        moved = params[name].clone(memory_format=torch.contiguous_format)
        entry = moved.view(-1)[j]
        at = entry.clone()

        def loss_at(eps: float) -> Tensor:
            entry.copy_(at + eps)
            return objective({**params, name: moved})

        slope = loss_at(self.coordinate_eps) - loss_at(-self.coordinate_eps)
        one = torch.zeros_like(moved).view(-1)
        one[j] = (1 - self.mix) * slope / (2 * self.coordinate_eps * p)
        grads[place].add_(one.view_as(moved))


def inclusion(weights: Tensor, count: int) -> Tensor:
    """Probabilities min(1, c · weights) that sum to `count`, (d,); all 1 if `count` ≥ d."""
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
    """Indices, each of them once and with its probability in `p`, by systematic sampling."""
    ends = p.cumsum(0)
    count = round(float(ends[-1]))
    first = torch.rand((), dtype=p.dtype, device=p.device, generator=rng)
    ticks = first + torch.arange(count, dtype=p.dtype, device=p.device)
    return torch.searchsorted(ends, ticks, right=True).clamp(max=len(p) - 1)
