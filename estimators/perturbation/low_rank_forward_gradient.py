"""The forward gradient along low-rank directions, after Chen et al. (2024)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import Law, Params
from estimators.core.laws import squares, variances_by_tensor
from estimators.core.noise import kurtosis, stacked_tangents
from estimators.core.objective import Objective
from estimators.perturbation._directions.slopes import Sample, UnbiasedDirectional


@dataclass(frozen=True)
class LowRankForwardGradient(UnbiasedDirectional):
    """Draws a direction of low rank for each weight matrix.

    ĝ = 1/K Σ_k (∇L·v_k) v_k with v = A Bᵀ / √r for an m × n matrix of weights: A is m × r, B n × r.
    A convolution's kernel is the matrix of output channels by the rest; vectors are dense.

    Use it where random numbers are the bottleneck, as on large layers: a direction takes r (m + n)
    of them instead of m n. It does not reduce the variance: with signs and r = 1,
    tr Var ĝ = (d − 1)/K ‖∇L‖², as with a sign for each weight, and hardly more at other ranks.

    Unbiased. Costs K forward-mode passes and stores no activations.

    Source: the directions of LOZO, Chen et al. (2024), arXiv:2410.07698, in a forward gradient.

    Example:
        >>> estimator = LowRankForwardGradient(rank=2)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Low-rank forward gradient"

    rank: Annotated[int, Ge(1), Le(1024), Unit("columns")] = 1
    """Rank of a matrix's direction (r)."""
    tangents: Annotated[int, Ge(1), Le(4096), Unit("tangents")] = 1
    """Directions that one estimate averages over (K); each costs a forward-mode pass."""
    noise: Literal["rademacher", "normal"] = "rademacher"
    """Distribution of the entries of A and B: signs ±1 or normals."""

    def sampler(self, params: Params, rng: Generator, /) -> Sample:
        factors = {
            (name, side): p.new_empty(shape)
            for name, p in params.items()
            for side, shape in self._shapes(p).items()
        }

        like = {f"{name} {side}": t for (name, side), t in factors.items()}

        def sample(count: int) -> list[Tensor]:
            stacks = stacked_tangents(like, self.noise, rng, count)
            drawn = dict(zip(factors, stacks, strict=True))
            return [self._product(name, p, drawn) for name, p in params.items()]

        return sample

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        """1/K of d_l‖g‖² + (q − 1)‖g_l‖²: of an m × n matrix, q = 2 (1 − 1/r) with signs and
        2 + 2 (m + n + 1)/r with normals; of a vector κ₄ − 1.
        """
        size = squares(exact)
        variance = variances_by_tensor(size, exact, 1 / self.tangents, 0.0)
        for name, g in exact.items():
            variance[name] += (self._own(g) - 1) * size[name] / self.tangents
        return Law(variance)

    def _own(self, p: Tensor) -> float:
        """q in E (v·g)² ‖v‖² = (d + q) ‖g‖² for a direction v of one tensor."""
        if p.ndim < 2:
            return kurtosis(self.noise) - 1
        if self.noise == "rademacher":
            return 2 * (1 - 1 / self.rank)
        return 2 + 2 * (len(p) + p.shape[1:].numel() + 1) / self.rank

    def _shapes(self, p: Tensor) -> dict[str, tuple[int, ...]]:
        if p.ndim < 2:
            return {"whole": tuple(p.shape)}
        return {"left": (len(p), self.rank), "right": (self.rank, p.shape[1:].numel())}

    def _product(self, name: str, p: Tensor, drawn: dict[tuple[str, str], Tensor]) -> Tensor:
        if p.ndim < 2:
            return drawn[name, "whole"]
        v = torch.bmm(drawn[name, "left"], drawn[name, "right"])
        return v.mul_(self.rank**-0.5).view(len(v), *p.shape)
