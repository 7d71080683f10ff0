"""What tunes a variant, and what it finds: `TuningPlan`, `Trial` and `Choice`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NewType

from backend.strict_json import finite_or_none

Point = tuple[float, Any | None]
"""A value of the tuned field, and of the second field; None without a second field."""
ValidationMetric = NewType("ValidationMetric", float)
"""A metric that may choose a value; NaN of a run that diverged."""
Results = Mapping[float, Mapping[Point, Mapping[int, ValidationMetric]]]
"""{fraction of the steps: {point: {seed: metric}}}."""
FEWEST_STEPS = 10
"""Steps of the shortest run that halving makes."""
DIGITS = 6
"""Significant digits of a value by which a grid grows."""


def validation_metric(name: str, value: float) -> ValidationMetric:
    """A run's metric, for tuning. Raises ValueError for a metric of the test part."""
    if name.startswith("test/"):
        raise ValueError(f"{name} may not choose a value; give a metric of validation or training")
    return ValidationMetric(value)


@dataclass(frozen=True)
class TuningPlan:
    """What tunes one variant. Raises ValueError for values that no grid can have."""

    values: tuple[float, ...]
    """The grid of the tuned field: positive, in any order."""
    seeds: tuple[int, ...]
    steps: int
    """Of a run at full length."""
    higher_is_better: bool
    also: tuple[Any, ...] = ()
    """Values of a second field, numbers or texts; every value of the first is tried with each."""
    widen: int = 3
    """How many values the grid may grow at each end."""
    halving: int = 1
    """η: after each rung, the best 1/η of the points go on to runs η times as long; 1: none."""
    bounds: tuple[float, float] = (0.0, 1e6)
    """Smallest and largest allowed value of the tuned field; zero itself is not allowed."""
    field: str = "optimizer.lr"
    also_field: str = ""

    def __post_init__(self) -> None:
        low, high = self.bounds
        for value in self.also:
            if not isinstance(value, str | int | float):
                raise ValueError(
                    f"{self.also_field} is {value} in the grid; give numbers, texts, true or false"
                )
        for name, given in (("value", self.values), ("seed", self.seeds), ("value", self.also)):
            twice = next((x for x in given if given.count(x) > 1), None)
            if twice is not None:
                raise ValueError(f"{name} {twice} comes twice; give each once")
        if not self.values or not self.seeds:
            raise ValueError("tuning takes at least one value and one seed")
        for value in self.values:
            if not (0 < value < math.inf and low <= value <= high):
                raise ValueError(
                    f"{self.field} is {value:g} in the grid; it must be positive, at least {low:g} "
                    f"and at most {high:g}"
                )
        for name, given, least in (
            ("widen", self.widen, 0), ("halving", self.halving, 1), ("steps", self.steps, 1),
        ):  # fmt: skip
            if given < least:
                raise ValueError(f"{name} is {given}; it must be at least {least}")

    @property
    def rungs(self) -> tuple[float, ...]:
        """The fractions of the steps that points are run for, ascending; the last is 1."""
        points, count = len(self.values) * max(1, len(self.also)), 0
        while self.halving > 1 and self.halving ** (count + 1) <= min(
            points, self.steps / FEWEST_STEPS
        ):
            count += 1
        return tuple(1 / self.halving**power for power in range(count, -1, -1))

    def next_value(self, edge: float, *, larger: bool) -> float | None:
        """The value beyond an edge by the grid's mean ratio; None if there is or may be none."""
        if len(self.values) == 1:
            return None
        ratio = (max(self.values) / min(self.values)) ** (1 / (len(self.values) - 1))
        value = float(f"{edge * ratio if larger else edge / ratio:.{DIGITS}g}")
        low, high = self.bounds
        allowed = value > 0 and low <= value <= high
        return value if allowed and (value > edge if larger else value < edge) else None

    def grown(self, tried: Iterable[float], *, larger: bool) -> int:
        """How many of the values that were tried lie beyond one end of the given grid."""
        beyond = (v > max(self.values) if larger else v < min(self.values) for v in {*tried})
        return sum(beyond)

    def steps_of(self, fraction: float) -> int:
        """The steps of a run at a rung."""
        return max(1, round(self.steps * fraction))

    def order(self, point: Point) -> tuple[float, int]:
        """By which points are sorted: the value, then the place of the second field's value."""
        return point[0], self.also.index(point[1]) if self.also else 0


class Trial(NamedTuple):
    """A point that has to be run."""

    point: Point
    fraction: float
    """Of the steps of a run at full length (the rung)."""
    seeds: tuple[int, ...]
    """The seeds without a result."""


@dataclass(frozen=True)
class CurvePoint:
    """A point that was tried, at the longest rung that it reached."""

    value: float
    also: Any | None
    metric: float
    """The mean over the tuning seeds; NaN where a run diverged."""
    fraction: float
    """Of the steps; less than 1 for a point that halving left behind."""

    @property
    def point(self) -> Point:
        """Both values."""
        return self.value, self.also


@dataclass(frozen=True)
class Choice:
    """The value with the best mean over the tuning seeds."""

    value: float | None
    """None if there is none, since every run diverged or none has ended."""
    also: Any | None
    metric: float
    """The mean at that value; NaN without one."""
    note: str
    """What the reader must know, such as "best at the edge"; may be empty."""
    curve: tuple[CurvePoint, ...]
    at_edge: bool = False
    """Whether the best is the smallest or the largest value that was tried."""
    field: str = "optimizer.lr"
    also_field: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON, in which None stands for NaN."""
        points = [{**vars(point), "metric": finite_or_none(point.metric)} for point in self.curve]
        return {**vars(self), "metric": finite_or_none(self.metric), "curve": points}
