"""Anderson acceleration, of Anderson (1965), in the form of Walker and Ni (2011)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from estimators.core.bounds import Ge, Gt, Le, Lt, Unit
from estimators.implicit.solvers.contract import Solver, Step, at_least_single


@dataclass(frozen=True)
class Anderson(Solver):
    """Anderson acceleration with a ridge.

    z ← Σ_i α_i F(z_i) over the last m iterates, where α minimises ‖Σ_i α_i g_i‖² +
    r Σ_i α_i² ‖g_i‖² under Σ_i α_i = 1, with the residuals g_i = F(z_i) − z_i.

    The ridge r keeps the least-squares problem solvable where residuals are parallel or repeated,
    the singular case: the weights then stay bounded, and equal residuals share theirs. It is
    relative to each residual, so that it has the same effect far from a solution and near it.
    An iteration can shorten the residual by √r at most.

    Source: Anderson (1965), J. ACM 12, 547-560; Walker and Ni (2011), SIAM J. Numer. Anal. 49.

    Example:
        >>> solver = Anderson(memory=5)
        >>> solution = solver.solve(torch.cos, torch.zeros(1, 1))
    """

    memory: Annotated[int, Ge(1), Le(64), Unit("iterates")] = 6
    """Iterates that are combined (m); 1 is the plain iteration. Memory: 2 m states."""
    ridge: Annotated[float, Gt(0), Lt(1)] = 1e-5
    """Weight of the squared coefficients (r), which is always in use: it keeps the problem solvable
    where residuals are equal or parallel, and lets an iteration shorten the residual by √r at
    most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory < 1:
            raise ValueError(f"memory is {self.memory}; it must be at least 1")
        if not 0 < self.ridge < 1:
            raise ValueError(f"ridge is {self.ridge}; it must be above 0 and below 1")

    @property
    def kept(self) -> int:
        return 2 * self.memory

    def stepping(self, like: Tensor, /) -> Step:
        return _Combining(like, self.memory, self.ridge)


class _Combining:
    """The last m values F(z_i) and directions g_i / ‖g_i‖ of the residuals, (B, m, n) each.

    Their products with each other are kept, so that an iteration reads each history once.
    """

    def __init__(self, like: Tensor, memory: int, ridge: float) -> None:
        rows, units = like.shape
        self._values = like.new_empty(rows, memory, units)
        self._directions = like.new_empty(rows, memory, units)
        self._lengths = like.new_empty(rows, memory)
        self._correlations = like.new_empty(rows, memory, memory)
        self._memory, self._ridge, self._count = memory, ridge, 0

    def __call__(self, z: Tensor, f: Tensor, residual: Tensor) -> Tensor:
        place = self._count % self._memory
        self._count += 1
        m = min(self._count, self._memory)
        self._keep(place, m, f, residual)
        if m == 1:
            return f
        alpha = _weights(self._correlations[:, :m, :m], self._lengths[:, :m], self._ridge)
        return torch.bmm(alpha.unsqueeze(1), self._values[:, :m]).squeeze(1)

    def _keep(self, place: int, m: int, f: Tensor, residual: Tensor) -> None:
        tiny = torch.finfo(residual.dtype).tiny
        length = torch.linalg.vector_norm(residual, dim=1).clamp(min=tiny)  # (B,)
        self._lengths[:, place] = length
        self._values[:, place] = f
        newest = self._directions[:, place]  # (B, n)
        torch.div(residual, length.unsqueeze(1), out=newest)
        products = torch.bmm(newest.unsqueeze(1), self._directions[:, :m].mT).squeeze(1)  # (B, m)
        self._correlations[:, place, :m] = self._correlations[:, :m, place] = products


def _weights(correlations: Tensor, lengths: Tensor, ridge: float) -> Tensor:
    """α, (B, m), for residuals with these correlations, (B, m, m), and lengths, (B, m).

    In terms of β_i = α_i ‖g_i‖ the matrix of the problem is the correlation matrix of the
    residuals plus r I, whose condition number is at most (m + r) / r.
    """
    dtype = correlations.dtype
    # No half precision has such a solve, and the ridge would be rounded away in one.
    correlations, lengths = at_least_single(correlations), at_least_single(lengths)
    matrix = correlations.clone()
    matrix.diagonal(dim1=1, dim2=2).add_(ridge)
    shares = lengths.min(1, keepdim=True).values / lengths
    beta = torch.linalg.solve_ex(matrix, shares.unsqueeze(2))[0].squeeze(2)
    alpha = shares * beta
    return (alpha / alpha.sum(1, keepdim=True)).to(dtype)
