"""Broyden's method, of Broyden (1965), with a limited memory."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from estimators.core.bounds import Ge, Le, Unit
from estimators.implicit.solvers.contract import Solver, Step


@dataclass(frozen=True)
class Broyden(Solver):
    """Broyden's method ("good", the inverse form) with a limited memory.

    z ← z − H g with the residual g = F(z) − z and H ≈ (J − I)⁻¹, which starts at −I and after each
    step Δz, with the change Δg of the residual, becomes

        H ← H + (Δz − H Δg) (Δzᵀ H) / (Δzᵀ H Δg).

    An update whose denominator is rounding is left out. When the memory is full, H begins anew at
    −I.

    Source: Broyden (1965), Math. Comp. 19, 577-593. Bai, Kolter and Koltun (2019),
    arXiv:1909.01377, use it for equilibrium models.

    Example:
        >>> solver = Broyden(memory=10)
        >>> solution = solver.solve(torch.cos, torch.zeros(1, 1))
    """

    memory: Annotated[int, Ge(1), Le(1000), Unit("updates")] = 20
    """Updates of H that are kept. Memory: twice as many states."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory < 1:
            raise ValueError(f"memory is {self.memory}; it must be at least 1")

    def stepping(self, like: Tensor, /) -> Step:
        return _Updating(like, self.memory)


class _Updating:
    """H = −I + Σ_j u_j v_jᵀ of each example, with u and v (B, memory, n)."""

    def __init__(self, like: Tensor, memory: int) -> None:
        rows, units = like.shape
        self._u = like.new_zeros(rows, memory, units)
        self._v = torch.zeros_like(self._u)
        self._count = 0
        self._before: tuple[Tensor, Tensor] | None = None

    def __call__(self, z: Tensor, f: Tensor) -> Tensor:
        g = f - z
        if self._before is not None:
            self._update(z - self._before[0], g - self._before[1])
        self._before = z, g
        return z - self._times(g)

    def _update(self, dz: Tensor, dg: Tensor) -> None:
        if self._count == self._u.shape[1]:
            self._count = 0
            return
        moved = self._times(dg)  # H Δg
        row = self._transposed_times(dz)  # Δzᵀ H
        scale = (row * dg).sum(1, keepdim=True)
        lengths = torch.linalg.vector_norm(row, dim=1) * torch.linalg.vector_norm(dg, dim=1)
        rounding = torch.finfo(dz.dtype).eps * lengths.unsqueeze(1)
        column = torch.where(scale.abs() > rounding, (dz - moved) / scale, 0.0)
        self._u[:, self._count], self._v[:, self._count] = column, row
        self._count += 1

    def _times(self, x: Tensor) -> Tensor:
        return _low_rank(self._u[:, : self._count], self._v[:, : self._count], x) - x

    def _transposed_times(self, x: Tensor) -> Tensor:
        return _low_rank(self._v[:, : self._count], self._u[:, : self._count], x) - x


def _low_rank(u: Tensor, v: Tensor, x: Tensor) -> Tensor:
    """Σ_j u_j (v_j · x), (B, n)."""
    return torch.bmm(torch.bmm(v, x.unsqueeze(2)).mT, u).squeeze(1)
