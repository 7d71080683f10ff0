"""What a figure may ask of where its points come from: the points store, or `Memory`."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class FigureError(ValueError):
    """A question that no figure can answer; its text says what came and what is allowed."""


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
    """What a figure may ask; `backend.store.Store` and `Memory` both answer."""

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
