"""The series of finished results: what a microscope's run of them would have reported."""

from collections.abc import Iterator

from backend.series import adjoint_map, anatomy, one_step
from backend.series.draws import (
    SWEEP,
    EstimatorSeries,
    exact_norms,
    reference_floors,
    reference_solves,
    sweep_parameters,
)
from backend.series.points import Points, consecutive
from estimators.measurement.adjoints.result import AdjointMap
from estimators.measurement.anatomy import Anatomies
from estimators.measurement.compare import Compared
from estimators.measurement.results.measurement import Measurement
from estimators.measurement.sweep import Sweep
from estimators.measurement.what_if import WhatIfs


def of_measurement(result: Measurement) -> Iterator[Points]:
    """`exact/norm`, every draw, and every measure on the way to the last draw."""
    yield from exact_norms(result.layers, result.exact_norm)
    yield from reference_floors(result.layers, result.exact_floor, result.growth)
    yield from reference_solves(result.reference_not_converged)
    for label in result.values:
        series = EstimatorSeries(label, result.layers)
        if (drawn := result.drawn.get(label)) is not None:
            yield from series.each_draw(drawn)
            if drawn.across is not None:
                yield series.across(drawn.across.numpy())
            for count, values in drawn.course.items():
                yield from series.measures(values, count)
        yield from _errors_and_laws(series, result, label, result.draws)
        if label in result.redrawn:
            yield from series.redrawn(result.redrawn[label], result.draws)
        if "oracle" in result.sources.values():
            yield series.source(result.sources[label])
        if verdicts := result.verdicts.get(label):
            yield from series.verdicts(verdicts, result.targets.get(label, False), result.draws)


def of_sweep(result: Sweep, steps: list[int]) -> Iterator[Points]:
    """`sweep/*` of each measurement; `steps` are where the points of each value stand."""
    by_oracle = any("oracle" in each.sources.values() for each in result.measurements)
    for place, (step, measurement) in enumerate(zip(steps, result.measurements, strict=True)):
        layers = measurement.layers
        yield from exact_norms(layers, measurement.exact_norm, step, SWEEP)
        floors = measurement.exact_floor
        yield from reference_floors(layers, floors, measurement.growth, step, SWEEP)
        yield from reference_solves(measurement.reference_not_converged, step, SWEEP)
        if result.of_network:
            yield sweep_parameters(result.parameters[place], step)
        for label in measurement.values:
            series = EstimatorSeries(label, measurement.layers, SWEEP)
            yield from series.measures(measurement.values[label], step)
            yield from _errors_and_laws(series, measurement, label, step)
            if by_oracle:
                yield series.source(measurement.sources[label], step)


def _errors_and_laws(
    series: EstimatorSeries, result: Measurement, label: str, step: int
) -> Iterator[Points]:
    """What is known of all draws together, beside the measures."""
    yield from series.standard_errors(result.intervals.get(label, {}), result.draws, step)
    yield from series.laws(result.laws.get(label, {}), step)
    yield from series.law_checks(result.law_checks.get(label, {}), step)
    yield from series.heavy_tails(result.heavy.get(label, [None] * len(result.layers)), step)
    nowhere = [0] * len(result.layers)
    yield from series.nonfinite(result.nonfinite[label], result.lost.get(label, nowhere), step)
    yield from series.not_converged(result.not_converged.get(label), step)


def of_anatomy(result: Anatomies) -> Iterator[Points]:
    """`anatomy/*` after all batches."""
    if result.first.population:
        yield anatomy.population(result.first.population)
    for label, split in result.by_label.items():
        values = {part: getattr(split, part) for part in anatomy.PARTS}
        yield from anatomy.parts(label, split.layers, values, split.batches, split.nonfinite)


def of_one_step(result: WhatIfs) -> Iterator[Points]:
    """`what_if/*` of each draw and of all together."""
    yield from one_step.start(result.first.loss)
    for label, draws in result.by_label.items():
        yield from one_step.each_draw(draws, label)
        yield from one_step.summary(draws, label)


def of_adjoint_map(result: AdjointMap) -> Iterator[Points]:
    """`adjoint_map/*` of every gradient and bound, and the settings that they belong to."""
    yield from adjoint_map.settings(result.grid)
    for record in result.records:
        yield from adjoint_map.points(record, result.grid, result.layers)


def of_comparison(result: Compared) -> Iterator[Points]:
    """The measure on each batch, as a training run's probes at steps 0, 1, 2 and so on."""
    for label, values in result.values.items():
        yield consecutive(result.metric, 0, values, result.layer, label)
