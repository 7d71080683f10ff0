"""The interface from which figures read runs and points: a `Store` or a `Memory`."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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


class Source(Protocol):
    """Runs, their series and their points; `backend.store.Store` and `Memory` implement it."""

    def run(self, run_id: str, /) -> RunLike: ...
    def series(self, run_id: str, /) -> Sequence[SeriesLike]: ...
    def points(
        self,
        series_id: int,
        /,
        *,
        max: int | None = None,
        first: int | None = None,
        last: int | None = None,
    ) -> PointsLike: ...
