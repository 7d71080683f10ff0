"""Time and memory of one gradient by every adjoint, with one solver after the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Estimate, Params
from estimators.core.objective import Chain
from estimators.implicit.equilibrium import equilibria
from estimators.implicit.implicit_adjoint import ImplicitAdjoint
from estimators.implicit.solvers.anderson import Anderson
from estimators.implicit.solvers.broyden import Broyden
from estimators.implicit.solvers.contract import Solver
from estimators.implicit.solvers.fixed_point import FixedPoint
from estimators.measurement.adjoints.gradients import (
    Reference,
    compared,
    gradient,
    not_converged,
    setting_of,
    synchronise,
)
from estimators.measurement.adjoints.records import CostRow
from estimators.measurement.adjoints.stages import watched_solves
from estimators.statistics.adjoint_grid import AdjointGrid

SOLVERS = {"fixed_point": FixedPoint, "anderson": Anderson, "broyden": Broyden}


def costs(
    chain: Chain, params: Params, at: Reference, grid: AdjointGrid, repeats: int
) -> Iterator[CostRow]:
    """Every adjoint with every solver, at the network as it is and at its tolerances."""
    for solver in grid.solvers:
        adjoints = [ImplicitAdjoint(adjoint="ift"), ImplicitAdjoint(adjoint="jfb")]
        adjoints += [
            ImplicitAdjoint(adjoint=kind, steps=k, damping=share)
            for k, share in grid.settings()
            for kind in ("npg", "upg")
        ]
        forward = _forward_seconds(chain, params, solver, repeats)
        for adjoint in adjoints:
            yield _row(chain, params, at, solver, adjoint, forward, repeats)
    if grid.solvers:  # it is an iteration of its own, whatever the solver
        unrolled = ImplicitAdjoint(adjoint="unrolled")
        forward = _forward_seconds(chain, params, "fixed_point", repeats)
        yield _row(chain, params, at, "fixed_point", unrolled, forward, repeats)


def solved_by(name: str) -> Callable[[Solver], Solver]:
    """solver ↦ one of this name with the same tolerance and limit; itself, if it is of the name."""
    kind = SOLVERS[name]
    return lambda own: own if type(own) is kind else kind(own.tolerance, own.limit)


def _row(
    chain: Chain, params: Params, at: Reference, solver: str, adjoint: ImplicitAdjoint,
    forward: float, repeats: int,
) -> CostRow:  # fmt: skip
    with watched_solves(chain.module, solved_by(solver)) as watched:
        estimate, memory = _measured_memory(chain, params, adjoint)
        states = [solves.forward[-1].z for solves in watched.values() if solves.forward]
        times = []
        for _ in range(repeats):
            times.append(gradient(chain, params, adjoint)[1])
        stages = equilibria(chain.module).values()
        history = 0
        if not chain.x.is_cuda and adjoint.adjoint != "unrolled":
            history = sum(
                _history(solved_by(solver)(stage.solver.inner), z)  # type: ignore[attr-defined]
                for stage, z in zip(stages, states, strict=False)
            )
    cosines, errors = compared(at.exact, at.groups, estimate.grads)
    steps, damping = setting_of(adjoint)
    return CostRow(
        solver, adjoint.adjoint, steps, damping, median(times), forward, memory, history,
        cosines[0], errors[0], not_converged(estimate),
    )  # fmt: skip


def _forward_seconds(chain: Chain, params: Params, solver: str, repeats: int) -> float:
    """Median seconds of the loss alone."""
    times = []
    with watched_solves(chain.module, solved_by(solver)), torch.no_grad():
        for attempt in range(repeats + 1):
            synchronise(chain.x)
            start = perf_counter()
            chain(params)
            synchronise(chain.x)
            if attempt:  # the first one warms up
                times.append(perf_counter() - start)
    return median(times)


def _history(solver: Solver, z: Tensor) -> int:
    """Bytes of the tensors that the steps of a solve keep."""
    step = solver.stepping(z.reshape(len(z), -1))
    return sum(t.nbytes for t in vars(step).values() if isinstance(t, Tensor))


def _measured_memory(
    chain: Chain, params: Params, adjoint: ImplicitAdjoint
) -> tuple[Estimate, int]:
    """One gradient, and the bytes that it keeps; see `CostRow.saved`."""
    if chain.x.is_cuda:
        torch.cuda.synchronize(chain.x.device)
        torch.cuda.reset_peak_memory_stats(chain.x.device)
        before = torch.cuda.memory_allocated(chain.x.device)
        estimate, _ = gradient(chain, params, adjoint)
        return estimate, torch.cuda.max_memory_allocated(chain.x.device) - before
    given = {_storage(t) for t in (*params.values(), chain.x, chain.y)}
    with _counted(given) as saved:
        estimate, _ = gradient(chain, params, adjoint)
    return estimate, saved.bytes


@dataclass
class _Saved:
    """The storages that autograd has kept, each counted once."""

    storages: dict[int, Any] = field(default_factory=dict)
    bytes: int = 0


@contextmanager
def _counted(given: set[int]) -> Iterator[_Saved]:
    """While this is open, what autograd saves is counted, without the storages that are given."""
    saved = _Saved()

    def pack(t: Tensor) -> Tensor:
        place = _storage(t)
        if place not in given and place not in saved.storages:
            saved.storages[place] = t.untyped_storage()  # kept, so that its place stays its own
            saved.bytes += t.untyped_storage().nbytes()
        return t.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        yield saved


def _storage(t: Tensor) -> int:
    return t.untyped_storage().data_ptr()
