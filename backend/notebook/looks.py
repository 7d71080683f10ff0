"""Sweeps, anatomies, one-step draws and comparisons as the series that a microscope reports."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backend.figures import Memory, MemoryRun
from backend.notebook.series import RUN, known, run
from estimators.measurement.anatomy import Anatomies
from estimators.measurement.compare import Compared
from estimators.measurement.estimates.one_step import MIN_DRAWS_DECREASE
from estimators.measurement.results.measurement import Measurement
from estimators.measurement.sweep import Sweep
from estimators.measurement.what_if import WhatIfs
from estimators.statistics.variance_split import MIN_BATCHES

PARTS = ("data", "estimator", "fixed", "signal", "data_se", "estimator_se", "fixed_se")


def of_sweep(of: Sweep, name: str = "") -> Memory:
    """`sweep/*` at each value."""
    field = f"network.{of.field}" if of.of_network else of.field
    whole = all(type(value) is int and value >= 0 for value in of.values)
    steps = list(of.values) if whole else list(range(len(of.values)))
    held, first = Memory(), of.measurements[0]
    called = name or f"{of.field}, {first.draws:,} draws at each value"
    made = run(first, called, sweep={"field": field, "values": list(of.values)})
    driver, *shadows = (of.described.get(label, {}) for label in first.values)
    # By their fields, figures know the slope that theory gives those without a law.
    config = {**made.config, "estimator": driver, "shadows": shadows}
    held.add_run(RUN, replace(made, config=config))
    if of.of_network:
        held.add(RUN, "sweep/parameters", steps, of.parameters)
    for label in first.values:
        for metric in dict.fromkeys(m for one in of.measurements for m in _swept(one, label)):
            for layer in dict.fromkeys(name for one in of.measurements for name in one.layers):
                points = [
                    (step, numbers[one.place(layer)])
                    for step, one in zip(steps, of.measurements, strict=True)
                    if layer in one.layers and (numbers := _swept(one, label).get(metric))
                ]
                _add(held, f"sweep/{metric}", points, layer, label)
        lost = [one.nonfinite[label] for one in of.measurements]
        held.add(RUN, "sweep/draw/nonfinite", steps, lost, estimator=label)
        if any("oracle" in one.sources.values() for one in of.measurements):
            by_oracle = [float(one.sources[label] == "oracle") for one in of.measurements]
            held.add(RUN, "sweep/draw/oracle", steps, by_oracle, estimator=label)
    return held


def _swept(one: Measurement, label: str) -> dict[str, Sequence[float]]:
    return {**one.values[label], **known(one, label)}


def of_anatomy(of: Anatomies, name: str = "") -> Memory:
    """`anatomy/*` after all batches."""
    held, one = Memory(), of.first
    labels = list(of.of)
    called = name or f"{one.batches} batches of {one.batch}, {one.draws} draws at each"
    asked = {"draws": one.draws, "sweep": None, "anatomy": {"batches": one.batches}}
    held.add_run(RUN, _plain_run(called, labels, {"microscope": asked, "batch_size": one.batch}))
    if one.population:
        held.add(RUN, "anatomy/population", [0], [one.population])
    for label, found in of.of.items():
        for part in PARTS:
            values = getattr(found, part)
            if part.endswith("_se") and found.batches < MIN_BATCHES:
                continue
            for layer, value in zip(found.layers, values, strict=bool(values)):
                _add(held, f"anatomy/{part}", [(found.batches, value)], layer, label)
        held.add(RUN, "anatomy/nonfinite", [found.batches], [found.nonfinite], estimator=label)
    return held


def of_what_if(of: WhatIfs, name: str = "") -> Memory:
    """`what_if/*` of each draw and of all together."""
    held, one = Memory(), of.first
    count = len(one.slopes)
    called = name or f"{count:,} steps from loss {one.loss:.4g}"
    asked = {"draws": count, "sweep": None, "what_if": {"rates": list(one.rates)}}
    held.add_run(RUN, _plain_run(called, list(of.of), {"microscope": asked}))
    held.add(RUN, "what_if/loss", [0], [one.loss], unit="nats")
    for label, found in of.of.items():
        columns = {"slope": found.slopes, "curvature": found.curvatures} | {
            f"change/{rate:.6g}": found.changes[:, i] for i, rate in enumerate(found.rates)
        }
        for metric, values in columns.items():
            held.add(RUN, f"what_if/{metric}", range(count), values.tolist(), estimator=label)
        best, decrease = found.best_rate, found.expected_decrease
        told = {"best_rate": best, "expected_decrease": decrease, "nonfinite": found.nonfinite}
        if decrease is not None and count >= MIN_DRAWS_DECREASE:
            told["expected_decrease_se"] = found.decrease_se
        for metric, value in told.items():
            number = math.nan if value is None else float(value)
            held.add(RUN, f"what_if/{metric}", [count], [number], estimator=label)
    return held


def of_comparison(of: Compared, name: str = "") -> Memory:
    """The measure on each batch, as probes of a run at one step each."""
    held = Memory()
    called = name or f"{of.draws:,} draws on each batch"
    held.add_run(RUN, _plain_run(called, list(of.values), {"probe": {"draws": of.draws}}))
    for label, values in of.values.items():
        held.add(RUN, of.metric, range(len(values)), values, layer=of.layer, estimator=label)
    return held


def _plain_run(name: str, labels: list[str], config: dict[str, Any]) -> MemoryRun:
    return MemoryRun(None, name, config, {"driver": labels[0], "shadows": labels[1:]})


def _add(
    held: Memory, metric: str, points: list[tuple[int, float]], layer: str, label: str
) -> None:
    """Finite points alone, as a run reports them."""
    kept = [one for one in points if math.isfinite(one[1])]
    if kept:
        steps, values = zip(*kept, strict=True)
        held.add(RUN, metric, steps, values, layer=layer, estimator=label)
