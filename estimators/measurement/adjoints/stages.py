"""The equilibria of a network for the length of a measurement: scaled, solved otherwise, watched.

Everything is undone when a context ends; the network is left as it is.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from estimators.core.contract import Params
from estimators.core.module_call import replaced_forwards
from estimators.core.objective import Chain
from estimators.implicit.equilibrium import Equilibrium, equilibria
from estimators.implicit.solvers.contract import Function, Solution, Solver, Step
from estimators.measurement.adjoints.records import Solve


@contextmanager
def scaled_cells(module: nn.Module, factor: float) -> Iterator[None]:
    """While this is open, every cell is f(c·z, x): all that multiplies the state is scaled by c."""
    if factor == 1:
        yield
        return

    def scaled(cell: nn.Module) -> Callable[..., Tensor]:
        forward = cell.forward
        return lambda z, x: forward(factor * z, x)

    with replaced_forwards(
        {stage.cell: scaled(stage.cell) for stage in equilibria(module).values()}
    ):
        yield


@dataclass(frozen=True)
class WatchedSolver(Solver):
    """A solver that keeps what its solves found."""

    inner: Solver = field(default=None)  # type: ignore[assignment]
    solutions: list[Solution] = field(default_factory=list)

    def stepping(self, like: Tensor, /) -> Step:
        return self.inner.stepping(like)

    @property
    def kept(self) -> int:
        return self.inner.kept

    def solve(self, function: Function, start: Tensor) -> Solution:
        solution = self.inner.solve(function, start)
        self.solutions.append(solution)
        return solution


@dataclass(frozen=True)
class Watched:
    """The solves of one equilibrium while it was watched."""

    forward: list[Solution]
    backward: list[Solution]


@contextmanager
def watched_solves(
    module: nn.Module, change: Callable[[Solver], Solver] = lambda solver: solver
) -> Iterator[dict[str, Watched]]:
    """While this is open, solves are kept, by the name of the stage; `change` makes the solvers."""
    before, watched = [], {}
    try:
        for name, stage in equilibria(module).items():
            before.append((stage, stage.solver, stage.linear_solver))
            stage.solver = _watching(change(stage.solver))
            stage.linear_solver = _watching(change(stage.linear_solver))
            watched[name] = Watched(stage.solver.solutions, stage.linear_solver.solutions)
        yield watched
    finally:
        for stage, solver, linear_solver in before:
            stage.solver, stage.linear_solver = solver, linear_solver


def _watching(solver: Solver) -> WatchedSolver:
    return WatchedSolver(solver.tolerance, solver.limit, solver)


def with_limit(least: int) -> Callable[[Solver], Solver]:
    """solver ↦ the same with at least so many iterations."""
    return lambda solver: replace(solver, limit=max(least, solver.limit))


def outcome(solutions: list[Solution]) -> Solve:
    """The largest numbers of some solves; NaN and 0 without a solve."""
    if not solutions:
        return Solve(0, torch.nan, torch.nan, 0, 0)
    return Solve(
        max(int(s.iterations.max()) for s in solutions),
        max(float(s.relative.max()) for s in solutions),
        max(float(s.absolute.max()) for s in solutions),
        max(int((~s.converged).sum()) for s in solutions),
        max(len(s.converged) for s in solutions),
    )


@contextmanager
def kept_inputs(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """While this is open, the inputs of the equilibria are kept, by the name of the stage."""
    inputs: dict[str, Tensor] = {}

    def keeping(name: str, stage: Equilibrium) -> Callable[[Tensor], Tensor]:
        forward = stage.forward

        def keep(x: Tensor) -> Tensor:
            inputs[name] = x.detach()
            return forward(x)

        return keep

    stages = equilibria(module)
    with replaced_forwards({stage: keeping(name, stage) for name, stage in stages.items()}):
        yield inputs


def states_given(chain: Chain, params: Params, name: str, state: Tensor, factor: float) -> Tensor:
    """f(c·z, x) of one stage at a given z, (B, ...), with the graph of the parameters before it.

    Other equilibria are solved, and differentiated exactly.
    """
    kept: list[Tensor] = []
    stage = equilibria(chain.module)[name]

    def applied(x: Tensor) -> Tensor:
        kept.append(stage.cell(state, x))
        return kept[-1].clone()  # an in-place non-linearity may come next

    with ExitStack() as stack:
        stack.enter_context(scaled_cells(chain.module, factor))
        stack.enter_context(replaced_forwards({stage: applied}))
        stack.enter_context(torch.enable_grad())
        chain.forward(params)
    return kept[-1]  # a network that is called for the first time is called twice


def cell_function(
    stage: Equilibrium, name: str, params: Params, x: Tensor, factor: float
) -> Function:
    """z ↦ f(c·z, x) with the network's `params`, all in the precision of x."""
    cell, prefix = stage.cell, f"{name}.cell." if name else "cell."
    own: Mapping[str, Tensor] = {**dict(cell.named_parameters()), **dict(cell.named_buffers())}
    tensors = {
        key: _like(params.get(prefix + key, tensor).detach(), x) for key, tensor in own.items()
    }
    return lambda z: torch.func.functional_call(cell, tensors, (factor * z, x))


def _like(tensor: Tensor, x: Tensor) -> Tensor:
    return tensor.to(x.dtype) if tensor.is_floating_point() else tensor
