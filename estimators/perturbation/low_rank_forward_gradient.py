"""The forward gradient along low-rank directions: r (m + n) random numbers for an m × n matrix.

Low-rank perturbations of weight matrices: Chen et al. (2024), "LOZO", arXiv:2410.07698.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import Claim, Estimate, Law, Params
from estimators.core.laws import split, squares
from estimators.core.noise import kurtosis, stacked_tangents
from estimators.core.objective import Objective
from estimators.perturbation._directions.slopes import Directional, mean_over


@dataclass(frozen=True)
class LowRankForwardGradient(Directional[None]):
    """ĝ = 1/K Σ_k (∇L·v_k) v_k,  v = A Bᵀ / √r for each matrix: A m × r, B n × r.

    A convolution's kernel is the matrix of output channels by the rest; vectors are dense.
    With signs and r = 1, tr Var ĝ = (d − 1)/K ‖∇L‖², as with a sign for each weight; hardly more
    at other ranks.
    """

    title = "Low-rank forward gradient"

    rank: Annotated[int, Ge(1), Le(1024), Unit("columns")] = 1
    """Rank of a matrix's direction (r)."""
    tangents: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Directions that one estimate averages over (K); each costs a forward-mode pass."""
    noise: Literal["rademacher", "normal"] = "rademacher"
    """What the entries of A and B are drawn from: signs ±1 or normals."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.UNBIASED

    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        factors = {
            (name, side): p.new_empty(shape)
            for name, p in params.items()
            for side, shape in self._shapes(p).items()
        }

        def draw(count: int) -> list[Tensor]:
            like = {f"{name} {side}": t for (name, side), t in factors.items()}
            drawn = dict(zip(factors, stacked_tangents(like, self.noise, rng, count), strict=True))
            return [self._product(name, p, drawn) for name, p in params.items()]

        grads, loss = mean_over(objective, params, draw, self.tangents)
        return Estimate(dict(zip(params, grads, strict=True)), loss)

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        """1/K of d_l‖g‖² + (q − 1)‖g_l‖²: of an m × n matrix, q = 2 (1 − 1/r) with signs and
        2 + 2 (m + n + 1)/r with normals; of a vector κ₄ − 1.
        """
        size = squares(exact)
        found = split(size, exact, 1 / self.tangents, 0.0)
        for name, g in exact.items():
            found[name] += (self._own(g) - 1) * size[name] / self.tangents
        return Law(found)

    def _own(self, p: Tensor) -> float:
        """q in E (v·g)² ‖v‖² = (d + q) ‖g‖² for a direction v of one tensor."""
        if p.ndim < 2:
            return kurtosis(self.noise) - 1
        if self.noise == "rademacher":
            return 2 * (1 - 1 / self.rank)
        return 2 + 2 * (len(p) + p[0].numel() + 1) / self.rank

    def _shapes(self, p: Tensor) -> dict[str, tuple[int, ...]]:
        if p.ndim < 2:
            return {"whole": tuple(p.shape)}
        return {"left": (len(p), self.rank), "right": (self.rank, p[0].numel())}

    def _product(self, name: str, p: Tensor, drawn: dict[tuple[str, str], Tensor]) -> Tensor:
        if p.ndim < 2:
            return drawn[name, "whole"]
        v = torch.bmm(drawn[name, "left"], drawn[name, "right"])
        return v.mul_(self.rank**-0.5).view(-1, *p.shape)
