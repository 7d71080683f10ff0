"""Gradients by every adjoint at one factor, beside the exact gradient of the converged loss."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter, process_time

import torch
from torch import Tensor

from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import Estimate, Params
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.implicit.equilibrium import equilibria
from estimators.implicit.implicit_adjoint import ImplicitAdjoint
from estimators.measurement.adjoints.powers import Linearisation, radii
from estimators.measurement.adjoints.records import Cell, StageState
from estimators.measurement.adjoints.stages import (
    cell_function,
    kept_inputs,
    outcome,
    scaled_cells,
    watched_solves,
    with_limit,
)
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.summary import layer_groups
from estimators.measurement.estimates.measures import measures_of
from estimators.statistics.adjoint_grid import KINDS, MOST_STATES, AdjointGrid

LIMIT = 1000
"""Iterations that the solves of the exact gradient may take at least."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The exact gradient of the converged loss at one factor, in double precision, and z*."""

    factor: float
    exact: Params
    layers: tuple[str, ...]
    groups: Tensor
    """Which tensors are in which layer, 0/1, (T, G)."""
    at: dict[str, Linearisation]
    """{stage: f near z*}."""
    inputs: dict[str, Tensor]
    not_converged: dict[str, int]
    """{stage: examples whose solves, forward or backward, did not converge}."""

    def first(self, name: str, examples: int, chain: Chain, params: Params) -> Linearisation:
        """f near z* of the first examples of the batch."""
        x, z = self.inputs[name][:examples], self.at[name].z[:examples]
        return _near(chain, params, name, x, z, self.factor)


def reference(chain: Chain, params: Params, factor: float) -> Reference:
    """Solve the equilibria, and differentiate them, to the tolerance of double precision."""
    doubled, doubles = chain.in_double_precision(params)
    with ExitStack() as stack:
        stack.enter_context(scaled_cells(chain.module, factor))
        watched = stack.enter_context(watched_solves(chain.module, with_limit(LIMIT)))
        inputs = stack.enter_context(kept_inputs(chain.module))
        _, exact = value_and_grad(doubled, doubles)
    at, missed = {}, {}
    for name in equilibria(chain.module):
        solves = watched[name]
        if not solves.forward:  # the network has it and does not call it
            continue
        z = solves.forward[-1].z
        at[name] = _near(chain, params, name, inputs[name], z, factor)
        counts = [int((~s.converged).sum()) for s in (*solves.forward, *solves.backward)]
        missed[name] = max(counts)
    layers, groups = layer_groups(chain, list(exact))
    return Reference(factor, exact, layers, groups, at, dict(inputs), missed)


def _near(
    chain: Chain, params: Params, name: str, x: Tensor, z: Tensor, factor: float
) -> Linearisation:
    """f near z*: in double precision where J is written out, else in that of the network."""
    if z[0].numel() > MOST_STATES:
        own = next(p.dtype for p in params.values() if p.is_floating_point())
        x, z = x.to(own), z.to(own)
    stage = equilibria(chain.module)[name]
    return Linearisation(cell_function(stage, name, params, x, factor), z)


def compared(exact: Params, groups: Tensor, grads: Params) -> tuple[list[float], list[float]]:
    """The cosine and the relative error ‖ĝ − g‖ / ‖g‖ of each layer."""
    moments = Moments(exact)
    moments.add({name: grads[name].unsqueeze(0) for name in exact})
    summary = moments.summary(groups)
    # Not by `relative_mse`, which is rounded at 1e-13: its root would be lost below 3e-7.
    errors = (summary.errors[0] / summary.exact).sqrt()
    return measures_of(summary)["cosine"].tolist(), errors.tolist()


def gradient(chain: Chain, params: Params, adjoint: ImplicitAdjoint) -> tuple[Estimate, float]:
    """One gradient, and the seconds that it takes by `clock`."""
    rng = stream(0, "estimator", device=chain.x.device)
    start = clock(chain.x)
    estimate = adjoint.estimate(chain, params, None, rng)
    return estimate, clock(chain.x) - start


def clock(x: Tensor) -> float:
    """Seconds of a clock that tells the work on x, with an arbitrary zero.

    On a CPU it is the time that the process computes, in all its threads: other processes that
    need the same cores do not count. On CUDA it is wall time, once the device has finished.
    """
    if not x.is_cuda:
        return process_time()
    torch.cuda.synchronize(x.device)
    return perf_counter()


def states(chain: Chain, params: Params, at: Reference) -> Iterator[StageState | Cell]:
    """Every equilibrium at z*, and the gradient by the implicit function theorem."""
    with scaled_cells(chain.module, at.factor), watched_solves(chain.module) as watched:
        cell = _cell(chain, params, at, ImplicitAdjoint(adjoint="ift"))
    for name, near in at.at.items():
        radius, converged = radii(near)
        solves = watched[name]
        yield StageState(
            at.factor, name, near.states, radius.max().item(), converged,
            outcome(solves.forward), outcome(solves.backward), at.not_converged[name],
        )  # fmt: skip
    yield cell


def cells(chain: Chain, params: Params, at: Reference, grid: AdjointGrid) -> Iterator[Cell]:
    """The gradients by every other adjoint."""
    adjoints = [ImplicitAdjoint(adjoint="jfb"), ImplicitAdjoint(adjoint="unrolled")]
    adjoints += [
        ImplicitAdjoint(adjoint=kind, steps=k, damping=share)
        for k, share in grid.settings()
        for kind in KINDS
    ]
    for adjoint in adjoints:
        with scaled_cells(chain.module, at.factor):
            cell = _cell(chain, params, at, adjoint)
        yield cell


def _cell(chain: Chain, params: Params, at: Reference, adjoint: ImplicitAdjoint) -> Cell:
    estimate, seconds = gradient(chain, params, adjoint)
    cosines, errors = compared(at.exact, at.groups, estimate.grads)
    steps, damping = setting_of(adjoint)
    missed = not_converged(estimate)
    return Cell(
        at.factor, adjoint.adjoint, steps, damping, tuple(cosines), tuple(errors), seconds, missed
    )


def not_converged(estimate: Estimate) -> int:
    """The most examples of one of its solves that did not converge."""
    count = estimate.info["not_converged"]
    assert isinstance(count, Tensor)
    return int(count)


def setting_of(adjoint: ImplicitAdjoint) -> tuple[int | None, float | None]:
    """(k, λ) of an adjoint that has them."""
    if adjoint.adjoint in KINDS:
        return adjoint.steps, adjoint.damping
    return None, None
