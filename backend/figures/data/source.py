"""`Source`, from which figures read runs and points: the store, or a `Memory` made of arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class FigureError(ValueError):
    """A query that a figure cannot answer; the text says what was given and what is allowed."""


class RunLike(Protocol):
    """What the figures read of a run."""

    @property
    def number(self) -> int | None: ...
    @property
    def name(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def labels(self) -> Mapping[str, Any]: ...
    @property
    def status(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


class EventLike(Protocol):
    """What the figures read of an event in a run's log."""

    @property
    def step(self) -> int | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...


class SeriesLike(Protocol):
    """One series: its key (metric, layer, estimator) and how many points it holds."""

    @property
    def id(self) -> int: ...
    @property
    def metric(self) -> str: ...
    @property
    def layer(self) -> str: ...
    @property
    def estimator(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def count(self) -> int: ...


class PointsLike(Protocol):
    """Points of one series, in order of steps; `count` of them were held in the range asked for."""

    @property
    def steps(self) -> NDArray[np.int64]: ...
    @property
    def values(self) -> Floats: ...
    @property
    def count(self) -> int: ...


class ColumnsLike(Protocol):
    """A grid of several series, a row each; see `backend.store.columns.Columns`."""

    @property
    def steps(self) -> NDArray[np.int64]: ...
    @property
    def values(self) -> Floats: ...
    @property
    def has_point(self) -> NDArray[np.bool_]: ...
    @property
    def low(self) -> Floats: ...
    @property
    def high(self) -> Floats: ...
    @property
    def count(self) -> int: ...
    @property
    def odd(self) -> int: ...
    @property
    def mean(self) -> float: ...
    @property
    def sd(self) -> float: ...


class Source(Protocol):
    """Runs, their series, points and marked events; `backend.store.Store` and `Memory` implement
    it.

    `points` with `newest` gives the last so many points alone, and `columns` a grid of at most
    `most` columns: both read no more than that needs. `pieces` gives every point, for exports.
    """

    def run(self, run_id: str, /) -> RunLike: ...
    def series(self, run_id: str, /) -> Sequence[SeriesLike]: ...
    def marked_events(self, run_ids: Sequence[str], /) -> Mapping[str, Sequence[EventLike]]: ...
    def points(
        self,
        series_id: int,
        /,
        *,
        max: int | None = None,
        first: int | None = None,
        last: int | None = None,
        newest: int | None = None,
    ) -> PointsLike: ...
    def columns(
        self,
        series_ids: Sequence[int],
        most: int,
        /,
        *,
        first: int | None = None,
        last: int | None = None,
    ) -> ColumnsLike: ...
    def pieces(self, series_id: int, /) -> Iterator[PointsLike]: ...


@dataclass(frozen=True)
class MemoryRun:
    """A run held in memory."""

    number: int | None
    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    status: str = "finished"
    steps: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MemorySeries:
    """A series held in memory."""

    id: int
    run: str
    metric: str
    layer: str
    estimator: str
    unit: str
    count: int


@dataclass(frozen=True)
class MemoryPoints:
    """Points of a series held in memory."""

    steps: NDArray[np.int64]
    values: Floats
    count: int

    def within(self, first: int | None, last: int | None) -> "MemoryPoints":
        """Those with first <= step <= last."""
        low = 0 if first is None else int(np.searchsorted(self.steps, first))
        high = None if last is None else int(np.searchsorted(self.steps, last, side="right"))
        steps, values = self.steps[low:high], self.values[low:high]
        return MemoryPoints(steps, values, len(steps))

    def newest(self, count: int) -> "MemoryPoints":
        """The last `count` of them."""
        steps, values = self.steps[-count:], self.values[-count:]
        return MemoryPoints(steps, values, len(steps))


@dataclass(frozen=True)
class MemoryEvent:
    """An event held in memory."""

    step: int | None
    kind: str
    text: str


class Memory:
    """A source made of arrays, for notebooks and tests."""

    def __init__(self) -> None:
        self._runs: dict[str, MemoryRun] = {}
        self._series: dict[int, MemorySeries] = {}
        self._points: dict[int, MemoryPoints] = {}
        self._events: dict[str, list[MemoryEvent]] = {}

    def add_run(self, run_id: str, run: MemoryRun) -> None:
        """Hold a run under an id."""
        self._runs[run_id] = run

    def add(
        self,
        run_id: str,
        metric: str,
        steps: ArrayLike,
        values: ArrayLike,
        *,
        layer: str = "",
        estimator: str = "",
        unit: str = "",
    ) -> int:
        """Hold a whole series, steps ascending; returns its id."""
        at, y = np.asarray(steps, np.int64), np.asarray(values, np.float64)
        key = len(self._series) + 1
        self._series[key] = MemorySeries(key, run_id, metric, layer, estimator, unit, len(at))
        self._points[key] = MemoryPoints(at, y, len(at))
        return key

    def run(self, run_id: str, /) -> MemoryRun:
        if run_id not in self._runs:
            raise LookupError(f"there is no run {run_id!r}")
        return self._runs[run_id]

    def series(self, run_id: str, /) -> list[MemorySeries]:
        return [series for series in self._series.values() if series.run == run_id]

    def add_event(self, run_id: str, step: int | None, kind: str, text: str) -> None:
        """Hold an event of a run's log."""
        self._events.setdefault(run_id, []).append(MemoryEvent(step, kind, text))

    def marked_events(self, run_ids: Sequence[str], /) -> dict[str, list[EventLike]]:
        return {run_id: [*self._events.get(run_id, [])] for run_id in run_ids}

    def points(
        self,
        series_id: int,
        /,
        *,
        max: int | None = None,
        first: int | None = None,
        last: int | None = None,
        newest: int | None = None,
    ) -> MemoryPoints:
        points = self._points[series_id].within(first, last)
        if newest is not None:
            points = points.newest(newest)
        if max is None or len(points.steps) <= max:
            return points
        # Here, so that a notebook that only draws a measurement loads no database.
        from backend.store.downsample import downsample

        keep = downsample(points.steps, points.values, max)
        return MemoryPoints(points.steps[keep], points.values[keep], points.count)

    def columns(
        self,
        series_ids: Sequence[int],
        most: int,
        /,
        *,
        first: int | None = None,
        last: int | None = None,
    ) -> ColumnsLike:
        from backend.store.columns import Held, of_points

        rows = [self._points[series_id].within(first, last) for series_id in series_ids]
        return of_points([Held(row.steps, row.values) for row in rows], most)

    def pieces(self, series_id: int, /) -> Iterator[MemoryPoints]:
        yield self._points[series_id]
