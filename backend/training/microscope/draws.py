"""Draws of every estimator at the checkpoint: `draw/*`, and the measures made of them."""

from collections.abc import Iterator

from backend.series.draws import exact_norms, reference_floors, reference_solves
from backend.training.microscope.draw_loop import DrawLoop
from backend.training.microscope.estimator_draws import honest_draws
from backend.training.microscope.setup import Setup
from backend.training.records import Record
from estimators.measurement.estimates.observation import point


def run_draws(setup: Setup, loop: DrawLoop) -> Iterator[Record]:
    """All estimators side by side: `draw/*` of each draw, and the measures at 8, 16, 32, … of them.

    The verdicts on the bias come after the last draw, from 512 draws on.
    """
    at = point(setup.run.chain, setup.run.params)
    yield from exact_norms(at.layers, at.norms.tolist())
    floors = [] if at.floors is None else at.floors.tolist()
    yield from reference_floors(at.layers, floors, at.growth)
    yield from reference_solves(at.not_converged)
    draws = [setup.draws(labelled, at, each_draw=True) for labelled in setup.estimators]
    yield from honest_draws(draws)
    for each in draws:
        yield from each.oracle()
    for _ in loop.draw(draws):
        if loop.due:
            for each in draws:
                yield from each.points()
            yield from loop.flush()
    for each in draws:
        yield from each.points()
    for each in draws:
        if not loop.end:
            yield from each.redrawn(lambda: loop.end is not None)
            yield loop.progress("running")
    if not loop.end:
        for each in draws:
            yield from each.last()
            yield loop.progress("running")  # after many draws, each of these is a large report
