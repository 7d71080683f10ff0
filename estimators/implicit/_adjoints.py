"""Adjoints: how an equilibrium z* = f(z*, x; θ) is differentiated.

With J = ∂f/∂z at z*, the derivative of z* in a direction that moves f by ḟ is (I − J)⁻¹ ḟ, and a
signal s at z* reaches f as (I − J)⁻ᵀ s. Each adjoint puts something in the place of that inverse,
the same in forward and in reverse mode. `differentiating_by` says which one the equilibria of a
pass use; without it, the exact one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from estimators.core.contract import UnsupportedError
from estimators.implicit.solvers.contract import Function, Progress, Solution, Solver
from estimators.implicit.solvers.fixed_point import damped
from estimators.implicit.solvers.record import Kind, SolveRecord, recording_solves

SECOND = (
    "an equilibrium has first derivatives alone: its derivative is the outcome of a solve, which "
    "leaves no graph to differentiate a second time"
)


@dataclass(frozen=True, eq=False)
class Equation:
    """z = f(z) as one pass meets it, with the input and the parameters of the pass inside f."""

    apply: Function
    """z ↦ f(z), with the graph and the tangents of the input and the parameters."""
    solve: Callable[[], Solution]
    """Find z*, without a graph and without tangents."""
    start: Tensor
    """Where full unrolling begins, (B, ...)."""
    recorded: bool
    """Whether autograd records the pass."""
    solver: Solver
    """What finds z*."""
    linear_solver: Solver
    """What solves the linear equations of its derivatives."""
    stage: nn.Module
    """The `Equilibrium` whose equation it is."""
    warm: bool = False
    """Whether the stage keeps a warm start for its next solves."""
    records: tuple[SolveRecord, ...] = ()
    """Where its solves are recorded."""

    def solution(self) -> Tensor:
        """z*, reported."""
        return self.reported("forward", self.solve())

    def reported(self, kind: Kind, solution: Solution) -> Tensor:
        """The solution's state (or signal), recorded."""
        warm = self.stage if self.warm and kind == "forward" else None
        for record in self.records:
            record.add(kind, solution, warm)
        return solution.z


class Adjoint(ABC):
    """How an equilibrium is differentiated."""

    exact = False
    """Whether its derivatives are those of z*, to the tolerance of the solvers."""

    @abstractmethod
    def output(self, equation: Equation, /) -> Tensor:
        """What the equilibrium puts out, (B, ...), with the derivatives of this adjoint."""


class LinearAdjoint(Adjoint):
    """f(z*) with a linear map in the place of (I − J)⁻¹; its transpose in reverse mode."""

    @abstractmethod
    def times_inverse(self, equation: Equation, right: Tensor, affine: Function, /) -> Tensor:
        """M r for M ≈ (I − A)⁻¹, given r and w ↦ r + A w, where A is J or its transpose."""

    def output(self, equation: Equation, /) -> Tensor:
        z = equation.solution()
        if equation.recorded:
            z = z.requires_grad_()
        value, tangent = forward_ad.unpack_dual(equation.apply(z))
        output = value
        if equation.recorded:
            output = _pulled(value, self._pull(equation, z, value), tangent is not None)
        if tangent is None:
            return output
        return forward_ad.make_dual(output, self._pushed(equation, z.detach(), tangent))

    def _pull(self, equation: Equation, z: Tensor, value: Tensor) -> Function:
        """s ↦ Mᵀ s, with the graph from z to f(z)."""

        def pull(signal: Tensor) -> Tensor:
            def affine(u: Tensor) -> Tensor:
                """s + Jᵀ u."""
                (product,) = torch.autograd.grad(
                    value, z, u, retain_graph=True, materialize_grads=True
                )
                return signal + product

            return self.times_inverse(equation, signal, affine)

        return pull

    @torch.no_grad()
    def _pushed(self, equation: Equation, z: Tensor, tangent: Tensor) -> Tensor:
        """M ḟ, for the tangent ḟ of f(z) at a z that does not move."""

        def affine(w: Tensor) -> Tensor:
            """ḟ + J w: the tangent of f if z moves as well."""
            moved = forward_ad.unpack_dual(equation.apply(forward_ad.make_dual(z, w))).tangent
            return tangent if moved is None else moved

        return self.times_inverse(equation, tangent, affine)


class ImplicitFunctionTheorem(LinearAdjoint):
    """The inverse itself: w = A w + r is solved by the equilibrium's solver of linear equations.

    Exact, to the tolerances of both solvers.
    """

    exact = True

    def times_inverse(self, equation: Equation, right: Tensor, affine: Function, /) -> Tensor:
        solution = equation.linear_solver.solve(affine, right)
        return equation.reported("backward", solution)


@dataclass(frozen=True)
class Neumann(LinearAdjoint):
    """The first k terms of the damped Neumann series: λ Σ_{t<k} Bᵗ, B = λA + (1 − λ)I.

    Its product with I − A is I − Bᵏ. With k = 1 and λ = 1 it is the identity (Jacobian-free).
    """

    steps: int = 5
    damping: float = 0.5

    def times_inverse(self, equation: Equation, right: Tensor, affine: Function, /) -> Tensor:
        w = self.damping * right
        for _ in range(self.steps - 1):
            w = damped(w, affine(w), self.damping)
        return w


@dataclass(frozen=True)
class UnrolledSteps(Adjoint):
    """k damped steps z ← (1 − λ) z + λ f(z) from z*, which is taken as given.

    The output is the last of them: another number than z*, unless z* is exact.
    """

    steps: int = 5
    damping: float = 0.5

    def output(self, equation: Equation, /) -> Tensor:
        z = equation.solution()
        for _ in range(self.steps):
            z = damped(z, equation.apply(z), self.damping)
        return _marked(equation, z)


@dataclass(frozen=True)
class FullUnrolling(Adjoint):
    """The damped iteration from the start on, differentiated through all its steps.

    It ends by the tolerance and the limit of the equilibrium's solver, for each example by itself.
    """

    exact = True
    damping: float = 0.5

    def output(self, equation: Equation, /) -> Tensor:
        z, own = equation.start, equation.solver
        progress = Progress(_rows(z), own.tolerance_in(z.dtype))
        for _ in range(own.limit):
            f = equation.apply(z)
            if z.is_meta:
                z = f
                break
            if not progress.take(_rows(z), _rows(f), _rows(f) - _rows(z)):
                break
            goes_on = progress.active.view(-1, *[1] * (z.ndim - 1))
            z = torch.where(goes_on, damped(z, f, self.damping), z)
        equation.reported("forward", progress.solution(z.shape))
        return _marked(equation, z)


_EXACT = ImplicitFunctionTheorem()
_active: ContextVar[Adjoint] = ContextVar("adjoint", default=_EXACT)


@contextmanager
def differentiating_by(adjoint: Adjoint) -> Iterator[SolveRecord]:
    """While this is open, equilibria are differentiated by `adjoint`; their solves are recorded.

    A backward pass uses the adjoint of its forward pass.
    """
    token = _active.set(adjoint)
    try:
        with recording_solves() as record:
            yield record
    finally:
        _active.reset(token)


def adjoint_of_this_pass() -> Adjoint:
    """The adjoint that equilibria use now."""
    return _active.get()


def _rows(t: Tensor) -> Tensor:
    """The numbers alone, (B, n)."""
    return forward_ad.unpack_dual(t).primal.detach().reshape(len(t), -1)


def _pulled(value: Tensor, pull: Function | None, moves: bool) -> Tensor:
    # A copy, because an in-place non-linearity may come next.
    return _Pulled.apply(value, pull, moves).clone()  # type: ignore[union-attr]


def _marked(equation: Equation, output: Tensor) -> Tensor:
    """The output with a node of `_Pulled` in its graph, as that of every adjoint.

    An engine that follows operations one by one looks for such a node to leave the network to dual
    numbers. What it finds out under one adjoint, it keeps for all.
    """
    if not equation.recorded:
        return output
    value, tangent = forward_ad.unpack_dual(output)
    value = _pulled(value, None, False)
    return value if tangent is None else forward_ad.make_dual(value, tangent)


class _Pulled(torch.autograd.Function):
    """The identity, with a function that pulls signals back; None for the identity again."""

    @staticmethod
    def forward(value: Tensor, pull: Function | None, moves: bool) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.pull, ctx.moves = inputs[1:]

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if ctx.pull is None:
            return signal, None, None
        if torch.is_grad_enabled() or ctx.moves:
            raise UnsupportedError(SECOND)
        return ctx.pull(signal), None, None
