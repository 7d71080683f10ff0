"""Results as the run and series that the lab's figures read."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from backend.config import NETWORK_PREFIX, sweep_steps
from backend.figures import Memory, MemoryRun
from backend.series import results
from backend.series.points import Points, joined
from estimators.measurement.adjoints.result import AdjointMap
from estimators.measurement.anatomy import Anatomies
from estimators.measurement.compare import Compared
from estimators.measurement.results.measurement import Measurement
from estimators.measurement.sweep import Sweep
from estimators.measurement.what_if import WhatIfs
from estimators.statistics.adjoint_grid import KINDS, POINTS

RUN = "measurement"
"""The id of the one run that a source holds."""


def of_measurement(result: Measurement, name: str = "") -> Memory:
    """A source with every series that a microscope's run of the same draws would have."""
    return _source(_run(result, name), results.of_measurement(result))


def of_sweep(result: Sweep, name: str = "") -> Memory:
    """A source with `sweep/*` at each value of the field."""
    field = f"{NETWORK_PREFIX}{result.field}" if result.of_network else result.field
    first = result.measurements[0]
    title = name or f"{result.field}, {first.draws:,} draws at each value"
    run = _run(first, title, sweep={"field": field, "values": list(result.values)})
    driver, *shadows = (result.described.get(label, {}) for label in first.values)
    # By these fields, figures know the slope that theory predicts for those without a law.
    config = {**run.config, "estimator": driver, "shadows": shadows}
    points = results.of_sweep(result, sweep_steps(result.values))
    return _source(replace(run, config=config), points)


def of_anatomy(result: Anatomies, name: str = "") -> Memory:
    """A source with `anatomy/*` after all batches."""
    first = result.first
    title = name or f"{first.batches} batches of {first.batch}, {first.draws} draws at each"
    microscope = {"draws": first.draws, "sweep": None, "anatomy": {"batches": first.batches}}
    config = {"microscope": microscope, "batch_size": first.batch}
    return _source(_plain_run(title, list(result.by_label), config), results.of_anatomy(result))


def of_one_step(result: WhatIfs, name: str = "") -> Memory:
    """A source with `what_if/*` of each draw and of all together."""
    first = result.first
    draws = len(first.slopes)
    title = name or f"{draws:,} steps from loss {first.loss:.4g}"
    microscope = {"draws": draws, "sweep": None, "what_if": {"rates": list(first.rates)}}
    run = _plain_run(title, list(result.by_label), {"microscope": microscope})
    return _source(run, results.of_one_step(result))


def of_adjoint_map(result: AdjointMap, name: str = "") -> Memory:
    """A source with `adjoint_map/*` of every gradient and bound."""
    grid = {field: list(values) for field, values in vars(result.grid).items()}
    microscope = {"draws": 0, "sweep": None, "adjoint_map": grid}
    tensors = [layer for layer in result.layers if "." in layer]
    rows = [{"name": tensor, "stage": tensor.partition(".")[0]} for tensor in tensors]
    run = MemoryRun(
        None,
        name or f"adjoints at {result.grid.size:,} settings (k, λ)",
        {"microscope": microscope},
        {"driver": KINDS[0], "shadows": [*KINDS[1:], *POINTS]},
        facts={"layers": rows},
    )
    return _source(run, results.of_adjoint_map(result))


def of_comparison(result: Compared, name: str = "") -> Memory:
    """A source with the measure on each batch, as probes of a run at one step each."""
    title = name or f"{result.draws:,} draws on each batch"
    run = _plain_run(title, list(result.values), {"probe": {"draws": result.draws}})
    return _source(run, results.of_comparison(result))


def _source(run: MemoryRun, points: Iterable[Points]) -> Memory:
    memory = Memory()
    memory.add_run(RUN, run)
    for series in joined(points):
        memory.add(
            RUN, series.metric, series.steps, series.values,
            layer=series.layer, estimator=series.estimator, unit=series.unit,
        )  # fmt: skip
    return memory


def _run(result: Measurement, name: str, **request: Any) -> MemoryRun:
    """A microscope's run, as far as figures read it; `request` is what it would have been asked."""
    driver, *shadows = result.values
    stages = [layer for layer in result.layers if layer not in result.tensors]
    rows = [
        {"name": tensor, "stage": stage if (stage := tensor.partition(".")[0]) in stages else ""}
        for tensor in result.tensors
    ]
    return MemoryRun(
        None,
        name or f"{result.draws:,} draws at loss {result.loss:.4g}",
        config={"microscope": {"step": None, "draws": result.draws, "sweep": None, **request}},
        labels={"driver": driver, "shadows": shadows},
        facts={"layers": rows},
    )


def _plain_run(name: str, labels: list[str], config: dict[str, Any]) -> MemoryRun:
    return MemoryRun(None, name, config, {"driver": labels[0], "shadows": labels[1:]})
