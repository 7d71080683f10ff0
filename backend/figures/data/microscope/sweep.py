"""Reading a sweep: a measure at each value of a field, and the law of that measure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.figures.data import standard_errors
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, Line, lines
from backend.figures.data.source import FigureError, Floats, Source
from backend.figures.data.tally import Tally
from backend.figures.reference import Reference

NETWORK = "network."
LAW = "sweep/law/"
PARAMETERS = "sweep/parameters"
MEASURED = "sweep/relative_variance"


@dataclass(frozen=True)
class Curve:
    """An estimator's measure (n,) at values (n,) of the field, in their order."""

    line: Line
    x: list[float] | list[str]
    """Numbers where all values are; else their words."""
    y: Floats
    errors: Floats | None
    """Standard errors, NaN where there is none."""
    law: bool
    hatched: NDArray[np.bool_]
    """Where the exact gradient is rounding, from which measure and law are computed, (n,)."""

    @property
    def key(self) -> tuple[str, str]:
        """The run's id and the estimator's label, the same for a measure and its law."""
        return self.line.run_id, self.line.series.estimator


def read(source: Source, query: Query, measure: str, tally: Tally) -> list[Curve]:
    """The curve of every estimator and of its law, without points that are not finite."""
    matches = lines(source, query, (f"sweep/{measure}", LAW + measure))[:TRACES]
    return [_curve(source, query, line, tally) for line in matches if line.series.count]


def law_at_points(curve: Curve, law: Curve) -> Floats:
    """The law at the points of its measure, NaN where it gives no value."""
    by_place = dict(zip(law.x, law.y.tolist(), strict=True))
    return np.array([by_place.get(x, np.nan) for x in curve.x], np.float64)


def field(line: Line) -> str:
    """The name of the field that the sweep varies."""
    return str(_sweep(line).get("field", ""))


def values(line: Line) -> list[Any]:
    """The values that were asked for."""
    return list(_sweep(line).get("values") or [])


def asked(line: Line) -> list[float] | list[str]:
    """The values that were asked for, as the axis shows them."""
    swept = values(line)
    return [float(v) for v in swept] if _numbers(swept) else [str(v) for v in swept]


def called(name: str) -> str:
    """A field as people read it: `network: width`."""
    return name.replace(NETWORK, "network: ", 1).replace("batch_size", "batch size")


def _sweep(line: Line) -> dict[str, Any]:
    return (line.run.config.get("microscope") or {}).get("sweep") or {}


def _curve(source: Source, query: Query, line: Line, tally: Tally) -> Curve:
    points, law = source.points(line.series.id), line.series.metric.startswith(LAW)
    tally.add(points)
    steps, y = points.steps, points.values
    spread = None if law else standard_errors.on_record(source, line, points)
    if query.against == "parameters":
        x: list[Any] = _parameters(source, line, steps)
    else:
        x = _values(line, steps)
    keep = [at for at, v in enumerate(y.tolist()) if np.isfinite(v) and x[at] is not None]
    if all(isinstance(x[at], float) for at in keep):
        keep.sort(key=lambda at: x[at])
    else:
        x = [str(value) for value in x]
    noise = None if spread is None else spread[keep]
    # The law is computed from the exact gradient, whatever the measure.
    name = MEASURED if law else line.series.metric
    hatched = Reference(source, line.run_id).rounded_at(name, line.series.layer, steps)
    return Curve(line, [x[at] for at in keep], y[keep], noise, law, hatched[keep])


def _values(line: Line, steps: Any) -> list[Any]:
    """The field's values, numbers as floats."""
    swept = values(line)
    whole = all(type(value) is int and value >= 0 for value in swept)
    if not whole and len(steps) and steps[-1] >= len(swept):
        raise FigureError(f"run #{line.run.number} names {len(swept)} values of its sweep, too few")
    at_steps = steps.tolist() if whole else [swept[step] for step in steps]
    return [float(value) for value in at_steps] if _numbers(swept) else at_steps


def _numbers(swept: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in swept)


def _parameters(source: Source, line: Line, steps: Any) -> list[float | None]:
    """The networks' numbers of parameters, None where it is not known yet."""
    if not field(line).startswith(NETWORK):
        raise FigureError(
            f"against is 'parameters'; run #{line.run.number} sweeps {field(line)}, which leaves "
            "their number unchanged: allowed is 'field'"
        )
    sizes = {
        step: value
        for series in source.series(line.run_id)
        if series.metric == PARAMETERS
        for points in [source.points(series.id)]
        for step, value in zip(points.steps.tolist(), points.values.tolist(), strict=True)
    }
    return [sizes.get(step) for step in steps.tolist()]
