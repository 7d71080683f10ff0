"""The damped fixed-point iteration."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from estimators.core.bounds import Gt, Le
from estimators.implicit.solvers.contract import Solver, Step


@dataclass(frozen=True)
class FixedPoint(Solver):
    """Damped fixed-point iteration.

    z ← (1 − λ) z + λ F(z).

    Near a solution the error shrinks by the spectral radius of λJ + (1 − λ)I in each iteration,
    J = ∂F/∂z. Damping helps where J has eigenvalues near −1 or complex ones, and slows down the
    positive ones. It keeps no history.

    Source: Banach (1922); Krasnosel'skii (1955) with damping.

    Example:
        >>> solver = FixedPoint(damping=0.5, limit=400)
        >>> solution = solver.solve(torch.cos, torch.zeros(1, 1))
    """

    damping: Annotated[float, Gt(0), Le(1)] = 1.0
    """Share of F(z) in the next iterate (λ); 1 is the plain iteration."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.damping <= 1:
            raise ValueError(f"damping is {self.damping}; it must be above 0 and at most 1")

    def stepping(self, like: Tensor, /) -> Step:
        return lambda z, f, residual: damped(z, f, self.damping)


def damped(z: Tensor, f: Tensor, damping: float) -> Tensor:
    """(1 − λ) z + λ f; f itself for λ = 1."""
    return f if damping == 1 else torch.lerp(z, f, damping)
