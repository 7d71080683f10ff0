"""Broyden's method, of Broyden (1965), with a limited memory."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from estimators.core.bounds import Ge, Le, Unit
from estimators.implicit.solvers.contract import FEWEST_UNITS, Solver, Step, at_least_single


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
    """Updates of H that are kept. Memory: one state more than their number."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory < 1:
            raise ValueError(f"memory is {self.memory}; it must be at least 1")

    @property
    def kept(self) -> int:
        return self.memory + 1

    def stepping(self, like: Tensor, /) -> Step:
        return _Stepping(like, self.memory)


class _Stepping:
    """The steps s_0 … s_k, (B, memory + 1, n), from which H and the next step follow.

    Each step is s_j = −H_j g_j, so that with t = H_j g_{j+1} the update of H becomes

        H_{j+1} = (I + w_j s_{j+1} s_jᵀ) H_j,   w_j = 1/‖s_j‖²,   H_0 = −I,
        s_{j+1} = −t ‖s_j‖² / s_jᵀ(s_j + t),

    and the steps are all that H needs (Kelley, Iterative Methods for Linear and Nonlinear
    Equations, 1995, section 7.3). For an update that is left out, w_j = 0 and s_{j+1} = −t.

    With the products of the steps with each other, (B, k, k), an iteration reads the steps twice:
    t = −g + Σ_i w_i c_i s_{i+1}, where c_j = s_jᵀ H_j g solves the triangular equations

        c_j − Σ_{i<j} (s_jᵀ s_{i+1}) w_i c_i = −s_jᵀ g.
    """

    def __init__(self, like: Tensor, memory: int) -> None:
        rows, units = like.shape
        self._steps = like.new_empty(rows, memory + 1, units)
        self._products = like.new_zeros(rows, memory + 1, memory + 1)
        self._weights = like.new_zeros(rows, memory + 1)
        self._memory, self._count = memory, 0

    def __call__(self, z: Tensor, f: Tensor, residual: Tensor) -> Tensor:
        if self._count > self._memory:
            self._count = 0
        step = self._step(residual) if self._count else residual
        self._steps[:, self._count] = step
        self._count += 1
        return z + step

    def _step(self, g: Tensor) -> Tensor:
        """−H g after the update by the last step, for the residual g behind it, (B, n)."""
        k = self._count
        self._steps[:, k] = g
        # Of the last step and of g with all of them, (B, 2, k + 1).
        products = torch.bmm(self._steps[:, k - 1 : k + 1], self._steps[:, : k + 1].mT)
        self._products[:, k - 1, :k] = products[:, 0, :k]
        matrix = -self._products[:, :k, 1 : k + 1] * self._weights[:, None, :k]
        right = -products[:, 1, :k].unsqueeze(2)
        c = torch.linalg.solve_triangular(
            at_least_single(matrix), at_least_single(right), upper=False, unitriangular=True
        )
        c = c.squeeze(2).to(g.dtype)
        square, along = products[:, 0, k - 1], c[:, k - 1]  # ‖s‖² and sᵀ t
        rounding = FEWEST_UNITS * torch.finfo(g.dtype).eps * (square + along.abs())
        used = (square + along).abs() > rounding
        self._weights[:, k - 1] = torch.where(used, 1 / square, 0.0)
        stretch = torch.where(used, square / (square + along), 1.0)
        shares = torch.ones_like(c)  # of s_1 … s_{k-1} and g in −t
        shares[:, : k - 1] = -self._weights[:, : k - 1] * c[:, : k - 1]
        shares *= stretch.unsqueeze(1)
        return torch.bmm(shares.unsqueeze(1), self._steps[:, 1 : k + 1]).squeeze(1)
