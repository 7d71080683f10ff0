"""The memory that the equilibria of a network take: histories of solvers, and unrolled steps."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backend.training.components.index import with_wrapped
from backend.training.memory.quick_shapes import quick_result
from estimators.core.contract import Estimator
from estimators.core.objective import Chain
from estimators.implicit.equilibrium import Equilibrium, equilibria
from estimators.implicit.implicit_adjoint import ImplicitAdjoint
from estimators.implicit.solvers.contract import Solver
from estimators.implicit.solvers.room import history_size


@dataclass(frozen=True)
class SolveNeed:
    """Bytes that equilibria take on a batch, beside one application of their cells."""

    history: int
    """Of the largest history of a solver; a solve ends before the next one begins."""
    unrolled: int
    """Of the results of the steps that an adjoint unrolls, kept for its backward pass."""
    solver: str = ""
    """The solver with that history."""
    adjoint: str = ""
    """The adjoint that unrolls most steps."""

    @property
    def total(self) -> int:
        """Both together."""
        return self.history + self.unrolled

    @property
    def words(self) -> str:
        """What most of it is for."""
        if self.history >= self.unrolled:
            return f"the history of the solver {self.solver}"
        return f"the steps kept by the adjoint {self.adjoint}"

    @property
    def remedy(self) -> str:
        """What makes it smaller."""
        if self.history >= self.unrolled:
            return "lower the solver's memory, or take a smaller batch"
        field = "limit of the network's solver" if self.adjoint == "unrolled" else "steps of upg"
        return f"lower the {field}, or take a smaller batch"


NO_SOLVES = SolveNeed(0, 0)


class Results(TorchDispatchMode):
    """Adds up the bytes of the results of all operations; views take none."""

    def __init__(self) -> None:
        super().__init__()
        self.total = self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = quick_result(func, args, kwargs or {})
        if not any(returned.alias_info for returned in func._schema.returns):
            sizes = [t.numel() * t.itemsize for t in tree_leaves(result) if isinstance(t, Tensor)]
            self.total += sum(sizes)
            self.largest = max(self.largest, *sizes, 0)
        return result


@dataclass(frozen=True)
class Solves:
    """What is known of the equilibria of a network on a batch, whatever differentiates them."""

    history: int
    """Bytes of the largest history of a solver."""
    solver: str
    """That solver."""
    applications: tuple[tuple[Solver, int], ...]
    """(solver of the forward pass, bytes of one application of the cell) of each equilibrium."""


NO_EQUILIBRIA = Solves(0, "", ())


def solves_of(chain: Chain) -> Solves:
    """The equilibria of a network on the device "meta"."""
    stages = list(equilibria(chain.module).values())
    if not stages:
        return NO_EQUILIBRIA
    states: dict[Equilibrium, tuple[Tensor, int]] = {}

    def note(stage: nn.Module, args: tuple[Tensor, ...], z: Tensor) -> None:
        assert isinstance(stage, Equilibrium)
        with Results() as results:
            stage.cell(z, args[0])
        states[stage] = z.reshape(len(z), -1), results.total

    hooks = [stage.register_forward_hook(note) for stage in stages]
    with torch.no_grad(), suppress(Exception):  # as for the other results
        chain({name: p.detach() for name, p in chain.module.named_parameters()})
    for hook in hooks:
        hook.remove()
    history, solver = max(
        (
            (history_size(solver.kept, z), solver.name)
            for stage, (z, _) in states.items()
            for solver in (stage.solver, stage.linear_solver)
        ),
        default=(0, ""),
    )
    return Solves(history, solver, tuple((s.solver, size) for s, (_, size) in states.items()))


def solve_need(solves: Solves, estimators: Iterable[Estimator]) -> SolveNeed:
    """What the equilibria of a network take, whichever of the estimators needs more."""
    unrolled, adjoint = max(
        (
            (sum(_steps(part, solver) * size for solver, size in solves.applications), part.adjoint)
            for estimator in estimators
            for part in with_wrapped(estimator)
            if isinstance(part, ImplicitAdjoint)
        ),
        default=(0, ""),
    )
    return SolveNeed(solves.history, unrolled, solves.solver, adjoint)


def _steps(estimator: ImplicitAdjoint, solver: Solver) -> int:
    """Applications of the cell whose results a backward pass needs, beside the last one."""
    return {"upg": estimator.steps, "unrolled": solver.limit}.get(estimator.adjoint, 0)
