"""The adjoint map: every adjoint of the run's equilibria beside the exact gradient."""

from collections.abc import Iterator

from backend.config import AdjointMap
from backend.series import adjoint_map as series
from backend.series.points import Points, joined
from backend.training.microscope.draw_loop import DrawLoop
from backend.training.microscope.setup import Setup
from backend.training.records import Event, Record
from estimators.measurement.adjoint_map import counts, records_of
from estimators.measurement.adjoints.records import StageState
from estimators.measurement.draws.summary import layer_groups

EXAMPLES = 16
"""Examples of the batch for which the norms and the descent condition are evaluated."""


def run_adjoint_map(setup: Setup, loop: DrawLoop, request: AdjointMap) -> Iterator[Record]:
    """`adjoint_map/*` of every gradient and bound as it comes, the network as it is first."""
    run, grid = setup.run, request.grid
    layers, _ = layer_groups(run.chain, list(run.params))
    waiting: list[Points] = [*series.settings(grid)]
    for record in records_of(run.chain, run.params, grid, setup.request.draws, EXAMPLES):
        loop.step += counts(record)
        if record is not None:
            waiting += series.points(record, grid, layers)
        if isinstance(record, StageState):
            yield from _events(record)
        if loop.due:
            yield from joined(waiting)
            waiting = []
            yield from loop.flush()
        if loop.end:
            break
    yield from joined(waiting)


def _events(state: StageState) -> Iterator[Event]:
    """What did not converge, in a sentence each."""
    where = f"{state.stage} at factor {state.factor:g}"
    for name, solve in (("forward", state.forward), ("backward", state.backward)):
        if solve.not_converged:
            text = (
                f"{where}: the {name} solve did not converge in {solve.not_converged} of "
                f"{solve.examples} examples"
            )
            yield Event(0, "adjoint-map", text)
    if state.reference_not_converged:
        text = (
            f"{where}: the exact gradient did not converge in {state.reference_not_converged} "
            "examples, so that nothing is known to be near it"
        )
        yield Event(0, "adjoint-map", text)
