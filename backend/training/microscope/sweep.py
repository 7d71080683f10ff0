"""A sweep: every estimator measured at one value of a field after the other (`sweep/*`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from backend.config import BATCH_SIZE, Sweep
from backend.series.draws import (
    SWEEP,
    exact_norms,
    reference_floors,
    reference_solves,
    sweep_parameters,
)
from backend.training.components.assemble import Labelled
from backend.training.facts import facts
from backend.training.microscope.draw_loop import DrawLoop
from backend.training.microscope.estimator_draws import EstimatorDraws, honest_draws
from backend.training.microscope.setup import Setup
from backend.training.records import Event, Record
from estimators.measurement.estimates.observation import Point, point
from estimators.measurement.inputs.fields import vary


def run_sweep(setup: Setup, loop: DrawLoop, sweep: Sweep) -> Iterator[Record]:
    """`sweep/*` at each value: the laws at once, an estimator's measures when it is drawn.

    A sweep over a field of the network also reports `sweep/parameters`, its parameter count.
    """
    yield from _events(setup, sweep)
    for place, (value, step) in enumerate(zip(sweep.values, sweep.steps, strict=True)):
        at, draws = _at_value(setup, sweep, value)
        if sweep.network_field is not None:
            yield sweep_parameters(sum(p.numel() for p in at.params.values()), step)
        yield from exact_norms(at.layers, at.norms.tolist(), step, SWEEP)
        floors = [] if at.floors is None else at.floors.tolist()
        yield from reference_floors(at.layers, floors, at.growth, step, SWEEP)
        yield from reference_solves(at.not_converged, step, SWEEP)
        yield from honest_draws(draws, f" at {sweep.field} {value}")
        for each in draws:
            yield from each.oracle(step)
            yield from each.laws(step)
        yield from loop.flush()
        yield from _drawn(draws, loop, step, place * setup.request.draws)
        if loop.end:
            return


def unseen_layers(setup: Setup) -> list[dict[str, Any]]:
    """Rows of `Facts.layers` that the last network of a sweep has and the run's own has not."""
    sweep, run = setup.request.sweep, setup.run
    if sweep is None or sweep.network_field is None:
        return []
    last = _with_network(setup, sweep.network_field, sweep.values[-1]).run
    rows = facts(last.assembly, last, 0).layers
    return [row for row in rows if row["name"] not in run.params]


def _events(setup: Setup, sweep: Sweep) -> Iterator[Event]:
    field, request = sweep.network_field, setup.request
    if field is None:
        return
    own = getattr(setup.run.assembly.network, field)
    seed, why = setup.run.config.seed, ""
    if request.step:
        why = f"; the weights of step {request.step:,} belong to {field} {own} alone"
    yield Event(
        0, "sweep", f"every network is at its initialisation, of the run's seed {seed}{why}"
    )


def _drawn(
    draws: Sequence[EstimatorDraws], loop: DrawLoop, step: int, before: int
) -> Iterator[Record]:
    """One estimator after the other, so that the first point comes early."""
    for each in draws:
        for _ in loop.draw([each], before, among=draws):
            if loop.due:
                yield from loop.flush()
        if loop.end:
            return
        yield from each.measures(step)


def _at_value(setup: Setup, sweep: Sweep, value: Any) -> tuple[Point, list[EstimatorDraws]]:
    """The frozen point at a value, and the draws of the estimators there."""
    estimators, learned = setup.estimators, False  # a state fits the setting it was learned in
    if sweep.field == BATCH_SIZE:
        at, learned = point(setup.run.batch(value), setup.run.params), True
    elif sweep.network_field is not None:
        setup = _with_network(setup, sweep.network_field, value)
        at, estimators = point(setup.run.chain, setup.run.params), setup.estimators
    else:
        at = point(setup.run.chain, setup.run.params)
        estimators = [Labelled(label, vary(e, sweep.field, value)) for label, e in estimators]
    draws = [setup.draws(each, at, learned=learned, prefix=SWEEP) for each in estimators]
    return at, draws


def _with_network(setup: Setup, field: str, value: Any) -> Setup:
    """The same estimators at an untrained network whose `field` has the value."""
    network = vary(setup.run.assembly.network, field, value)
    run = setup.run.untrained(network)
    return Setup(run.config, run.assembly, run)
