"""`Equilibrium`: a stage whose output is a fixed point of its cell."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from estimators.core.contract import UnsupportedError
from estimators.core.site import Site
from estimators.implicit._adjoints import Equation, adjoint_of_this_pass
from estimators.implicit.solvers.anderson import Anderson
from estimators.implicit.solvers.broyden import Broyden
from estimators.implicit.solvers.contract import Solution, Solver
from estimators.implicit.solvers.fixed_point import FixedPoint
from estimators.implicit.solvers.record import open_records

SOLVERS: dict[str, type[Solver]] = {
    "fixed_point": FixedPoint,
    "anderson": Anderson,
    "broyden": Broyden,
}
"""The solvers, by the names that configurations and figures use."""


class TransformError(UnsupportedError, RuntimeError):
    """A transform of torch.func cannot follow a solve. Code that has another way than `vmap` takes
    it at a RuntimeError, as for any operation that cannot be batched."""


class Equilibrium(nn.Module):
    """A stage x ↦ z* with z* = f(z*, x), for a cell f that keeps the shape of z.

    It is solved for each example by itself, without a graph, from zeros or from a warm start. What
    it puts out is f(z*, x), one step more. Its derivative is that of the implicit function theorem,
    in reverse and in forward mode: (I − J)⁻¹ in front of the derivative of f by x and by the cell's
    parameters, J = ∂f/∂z. The linear equations are solved with products of J or its transpose;
    no step of the solver is kept, so that memory does not grow with their number.
    `ImplicitAdjoint` puts another adjoint in the place of the inverse.

    A solve that does not converge ends at the solver's limit, or at a number that is not finite,
    and the best iterate stands. `recording_solves` says how many did so.

    Args:
        cell: f, called as cell(z, x) with z (B, ...) and x (B, ...). It must map each example by
            itself, and change neither argument. The start has the shape of x, unless the cell has
            a method `start(x)` that returns another.
        solver: What finds z*: `FixedPoint()`, `Anderson()` or `Broyden()`.
        linear_solver: What solves the linear equations of the derivatives, with a tolerance of its
            own; by default one like `solver`.
        warm_start: Whether a solve begins at the buffer `mean`, (...), instead of zeros: a state of
            one example, the same for each of a batch, so that examples stay independent. It is
            empty, which means zeros, until `begin_at` is called. No pass changes it: a training
            loop calls `begin_at` after an update, with a mean of `recording_solves`. The answer
            stays the same within the tolerance; full unrolling still begins at zeros.

    Raises:
        ValueError: The cell holds a `Site()`, which would be passed at every iteration, or a batch
            normalisation, whose statistics would move at every iteration.
        TransformError: At a call inside `torch.func.vmap` or `torch.func.grad`.

    Source: Bai, Kolter and Koltun (2019), arXiv:1909.01377.

    Example:
        >>> stage = Equilibrium(cell, solver=Anderson(tolerance=1e-6))
        >>> z = nn.Sequential(nn.Linear(8, 16), stage, nn.Linear(16, 3))(x)
    """

    def __init__(
        self,
        cell: nn.Module,
        solver: Solver | None = None,
        linear_solver: Solver | None = None,
        *,
        warm_start: bool = False,
    ) -> None:
        super().__init__()
        _refuse_parts(cell)
        self.cell, self.warm_start = cell, warm_start
        self.mean: Tensor
        if warm_start:
            self.register_buffer("mean", torch.empty(0))
        self.solver = solver or Anderson()
        self.linear_solver = linear_solver or self.solver

    def forward(self, x: Tensor) -> Tensor:
        """z*, (B, ...), for x (B, ...)."""
        _refuse_transforms()
        equation = Equation(
            apply=lambda z: self.cell(z, x),
            solve=lambda: self._solve(x),
            start=self._zeros(x.detach()),
            recorded=torch.is_grad_enabled() and self._is_differentiated(x),
            solver=self.solver,
            linear_solver=self.linear_solver,
            stage=self,
            warm=self.warm_start,
            records=open_records(),
        )
        return adjoint_of_this_pass().output(equation)

    def extra_repr(self) -> str:
        warm = ", warm_start=True" if self.warm_start else ""
        return f"solver={self.solver}, linear_solver={self.linear_solver}{warm}"

    @torch.no_grad()
    def begin_at(self, mean: Tensor) -> None:
        """Let later solves begin at this state of one example, (...), until the next call.

        Raises ValueError if the stage has no warm start.
        """
        if not self.warm_start:
            raise ValueError("this Equilibrium has no warm start; make it with warm_start=True")
        self.mean = mean.detach().to(self.mean, copy=True)

    def _zeros(self, x: Tensor) -> Tensor:
        start = getattr(self.cell, "start", torch.zeros_like)
        return start(x)

    def _start(self, x: Tensor) -> Tensor:
        zeros = self._zeros(x)
        if not self.warm_start or self.mean.shape != zeros.shape[1:]:
            return zeros
        return self.mean.to(zeros).expand_as(zeros)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        stored = state_dict.get(f"{prefix}mean")
        if self.warm_start and stored is not None:
            self.mean = self.mean.new_empty(stored.shape)  # it is empty before the first update
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _is_differentiated(self, x: Tensor) -> bool:
        return x.requires_grad or any(p.requires_grad for p in self.cell.parameters())

    def _solve(self, x: Tensor) -> Solution:
        # Its steps are no part of the pass: no tangents, and nothing that intercepts the pass.
        # A solver makes no graph.
        with torch._C.DisableTorchFunction(), forward_ad._set_fwd_grad_enabled(False):
            return self.solver.solve(lambda z: self.cell(z, x), self._start(x.detach()))


def _refuse_parts(cell: nn.Module) -> None:
    for name, m in cell.named_modules():
        place = f"{name or 'it'} is {m}"
        if isinstance(m, Site):
            raise ValueError(
                f"the cell of an Equilibrium must not hold a Site(), and {place}: a solve would "
                "pass it at every iteration; mark the input or the output of the stage instead"
            )
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            raise ValueError(
                f"the cell of an Equilibrium must not hold a batch normalisation, and {place}: a "
                "solve would move its statistics at every iteration, and couple the examples; use "
                "GroupNorm or LayerNorm"
            )


def _refuse_transforms() -> None:
    """Raise TransformError inside a transform of torch.func other than jvp."""
    functorch = torch._C._functorch  # type: ignore[attr-defined]
    stack = functorch.get_interpreter_stack() or ()
    if any(level.key() != functorch.TransformType.Jvp for level in stack):
        raise TransformError(
            "an equilibrium is solved until it has converged, which torch.func.vmap, grad and vjp "
            "cannot follow: call it once for each set of tangents, and torch.autograd.grad for its "
            "gradient"
        )


def equilibria(module: nn.Module) -> dict[str, Equilibrium]:
    """The equilibrium stages of a network, by name."""
    return {name: m for name, m in module.named_modules() if isinstance(m, Equilibrium)}
