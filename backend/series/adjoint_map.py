"""Series of an adjoint map. `step` is the place of a setting in the order of measurement
(`AdjointGrid.number`); `estimator` is the adjoint. `settings` says what each place is."""

from collections.abc import Iterator, Sequence

from backend.series.points import Points, by_layer, consecutive, single
from estimators.measurement.adjoints.records import (
    Bound,
    Cell,
    CostRow,
    Record,
    Sensitivity,
    StageState,
)
from estimators.statistics.adjoint_grid import AdjointGrid

PREFIX = "adjoint_map/"
COST = "adjoint_map/cost/"
SENSITIVITY = (
    "examples", "smallest", "zero", "allowed", "allowed_median", "simple", "simple_median",
)  # fmt: skip
BOUND = ("largest", "median", "converged", "left", "left_median", "met", "met_simple")
COSTS = (
    "repeats", "seconds", "seconds_low", "seconds_high", "ratio", "ratio_low", "ratio_high",
    "forward_seconds", "forward_seconds_low", "forward_seconds_high", "saved", "history", "cosine",
    "relative_error", "not_converged",
)  # fmt: skip


def settings(grid: AdjointGrid) -> Iterator[Points]:
    """What each place is, so that an export can be read by itself.

    `adjoint_map/setting/{factor,steps,damping}` are (c, k, λ) at the `step` of what depends on k
    and λ; `adjoint_map/factor` is c at the `step` of what depends on the factor alone.
    """
    rows = [grid.setting(number) for number in range(len(grid.factors) * grid.size)]
    for name, values in zip(("factor", "steps", "damping"), zip(*rows, strict=True), strict=True):
        yield consecutive(f"{PREFIX}setting/{name}", 0, values)
    yield consecutive(f"{PREFIX}factor", 0, grid.order)


def points(record: Record, grid: AdjointGrid, layers: Sequence[str]) -> Iterator[Points]:
    """What one record says. A number that was not evaluated is NaN."""
    match record:
        case StageState():
            yield from _of_stage(_numbers_of_state(record), record, grid.number(record.factor))
        case Sensitivity():
            numbers = {name: float(getattr(record, name)) for name in SENSITIVITY}
            yield from _of_stage(numbers, record, grid.number(record.factor))
        case Bound():
            numbers = {f"bound/{name}": float(getattr(record, name)) for name in BOUND}
            step = grid.number(record.factor, record.steps, record.damping)
            yield from _of_stage(numbers, record, step)
        case Cell():
            yield from _of_cell(record, grid, layers)
        case CostRow():
            for name in COSTS:
                metric = f"{COST}{name}/{record.solver}"
                value = float(getattr(record, name))
                yield single(metric, _setting(record, grid), value, "", record.kind)


def _setting(row: CostRow, grid: AdjointGrid) -> int:
    """The place of (k, λ) at the first factor; 0 for an adjoint that has none."""
    return 0 if row.steps is None else grid.number(grid.order[0], row.steps, row.damping)


def _numbers_of_state(state: StageState) -> dict[str, float]:
    numbers = {
        "radius": state.radius,
        "radius_converged": float(state.radius_converged),
        "states": float(state.states),
        "reference_not_converged": float(state.reference_not_converged),
    }
    for name, solve in (("forward", state.forward), ("backward", state.backward)):
        numbers |= {f"{name}_{key}": float(value) for key, value in vars(solve).items()}
    return numbers


def _of_stage(
    numbers: dict[str, float], record: StageState | Sensitivity | Bound, step: int
) -> Iterator[Points]:
    for name, value in numbers.items():
        yield single(PREFIX + name, step, value, record.stage)


def _of_cell(cell: Cell, grid: AdjointGrid, layers: Sequence[str]) -> Iterator[Points]:
    step = grid.number(cell.factor, cell.steps, cell.damping)
    numbers = {
        f"{PREFIX}cosine": cell.cosine,
        f"{PREFIX}relative_error": cell.relative_error,
    }
    yield from by_layer(numbers, layers, step, cell.kind)
    yield single(f"{PREFIX}seconds", step, cell.seconds, "", cell.kind)
    yield single(f"{PREFIX}not_converged", step, cell.not_converged, "", cell.kind)
