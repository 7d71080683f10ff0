"""Time and memory of one gradient by every adjoint, with one solver after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import nan
from statistics import median
from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Estimate, Params
from estimators.core.objective import Chain
from estimators.implicit.equilibrium import SOLVERS, equilibria
from estimators.implicit.implicit_adjoint import ImplicitAdjoint
from estimators.implicit.solvers.contract import Solver
from estimators.measurement.adjoints.gradients import (
    Reference,
    clock,
    compared,
    gradient,
    not_converged,
    setting_of,
)
from estimators.measurement.adjoints.records import CostRow
from estimators.measurement.adjoints.stages import Watched, watched_solves
from estimators.statistics.adjoint_grid import KINDS, AdjointGrid

TICK = 1e-9
"""Seconds of the shortest time: on a coarse clock, a small gradient takes none."""


def costs(
    chain: Chain, params: Params, at: Reference, grid: AdjointGrid, repeats: int
) -> Iterator[CostRow | None]:
    """Every adjoint with every solver, at the network as it is and at its tolerances.

    The loss and the gradients that are timed take turns, so that what slows the machine down slows
    all of them down alike. None after each of them: the rows of a solver come together, at its end.
    """
    for solver in grid.solvers:
        adjoints = [ImplicitAdjoint(adjoint="ift"), ImplicitAdjoint(adjoint="jfb")]
        adjoints += [
            ImplicitAdjoint(adjoint=kind, steps=k, damping=share)
            for k, share in grid.settings()
            for kind in KINDS
        ]
        if solver == grid.solvers[0]:  # it is an iteration of its own, whatever the solver
            adjoints.append(ImplicitAdjoint(adjoint="unrolled"))
        yield from _rows(chain, params, at, solver, adjoints, repeats)


def solved_by(name: str) -> Callable[[Solver], Solver]:
    """solver ↦ one of this name with the same tolerance and limit; itself, if it is of the name."""
    kind = SOLVERS[name]
    return lambda own: own if type(own) is kind else kind(own.tolerance, own.limit)


def _rows(
    chain: Chain, params: Params, at: Reference, solver: str, adjoints: Sequence[ImplicitAdjoint],
    repeats: int,
) -> Iterator[CostRow | None]:  # fmt: skip
    rows, times, forwards = [], [[] for _ in adjoints], []
    for adjoint in adjoints:
        rows.append(_without_times(chain, params, at, solver, adjoint))
        yield None
    for _ in range(repeats):
        forwards.append(_forward_seconds(chain, params, solver))
        for adjoint, seconds in zip(adjoints, times, strict=True):
            with watched_solves(chain.module, solved_by(solver)):
                seconds.append(gradient(chain, params, adjoint)[1])
            yield None
    exact = [max(ift, TICK) for ift in times[0]]  # the first adjoint is ift
    for row, seconds in zip(rows, times, strict=True):
        ratios = [own / ift for own, ift in zip(seconds, exact, strict=True)]
        yield replace(
            row, repeats=repeats, **_quartiles("seconds", seconds),
            **_quartiles("forward_seconds", forwards), **_quartiles("ratio", ratios),
        )  # fmt: skip


def _quartiles(name: str, values: Sequence[float]) -> dict[str, float]:
    """The median and both quartiles of measured values, each of the quartiles one of them."""
    ordered = sorted(values)
    low, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.25, 0.75))
    return {name: median(ordered), f"{name}_low": low, f"{name}_high": high}


def _without_times(
    chain: Chain, params: Params, at: Reference, solver: str, adjoint: ImplicitAdjoint
) -> CostRow:
    with watched_solves(chain.module, solved_by(solver)) as watched:
        estimate, memory = _measured_memory(chain, params, adjoint)
        history = 0 if chain.x.is_cuda else _history(chain, watched)
    cosines, errors = compared(at.exact, at.groups, estimate.grads)
    steps, damping = setting_of(adjoint)
    by = "fixed_point" if adjoint.adjoint == "unrolled" else solver
    return CostRow(
        by, adjoint.adjoint, steps, damping, 0, nan, nan, nan, nan, nan, nan, nan, nan, nan,
        memory, history, cosines[0], errors[0], not_converged(estimate),
    )  # fmt: skip


def _forward_seconds(chain: Chain, params: Params, solver: str) -> float:
    """Seconds of the loss alone."""
    with watched_solves(chain.module, solved_by(solver)), torch.no_grad():
        start = clock(chain.x)
        chain(params)
        return clock(chain.x) - start


def _history(chain: Chain, watched: Mapping[str, Watched]) -> int:
    """Bytes of the largest history of a solver that has found a state: a solve ends before the next
    one begins. Unrolling takes none."""
    sizes = (
        stage.solver.kept * watched[name].forward[-1].z.nbytes
        for name, stage in equilibria(chain.module).items()
        if watched[name].forward
    )
    return max(sizes, default=0)


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
