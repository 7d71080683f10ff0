"""What a zoom shows of a series: the visible range in full, the rest thinly around it."""

from dataclasses import dataclass, replace
from math import ceil, floor, inf

import numpy as np
from numpy.typing import NDArray

from backend.figures.data import progress
from backend.figures.data.query import Query
from backend.figures.data.source import Floats, RunLike, Source

AROUND = 4
"""Which part of the budget the points outside of the visible range have."""
LARGEST = 2**53
Ends = tuple[int | None, int | None]
"""A first and a last step; None: no limit."""


@dataclass(frozen=True)
class Window:
    """Points of a series (n,); `shown` of `count` are within the visible range."""

    steps: NDArray[np.int64]
    values: Floats
    shown: int
    count: int


def is_zoomed(query: Query) -> bool:
    """Whether the query names a visible range of the horizontal axis."""
    return query.left is not None or query.right is not None


def visible(source: Source, run_id: str, run: RunLike, query: Query) -> Ends:
    """The first and the last step of a run that are visible."""
    first, last = query.first, query.last
    if query.left is not None:
        left = ceil(min(_step(source, run_id, run, query.left, query.x), LARGEST))
        first = max(left, first or 0)
    if query.right is not None:
        right = floor(min(_step(source, run_id, run, query.right, query.x), LARGEST))
        last = right if last is None else min(right, last)
    return first, last


def of_run(source: Source, run_id: str, query: Query) -> Query:
    """The query with the visible steps of this run as its first and last."""
    if not is_zoomed(query):
        return query
    first, last = visible(source, run_id, source.run(run_id), query)
    return replace(query, first=first, last=last)


def read(
    source: Source, run_id: str, series_id: int, query: Query, most: int | None = None
) -> Window:
    """Read a series with at most `most` (the query's `max`) points in the visible range.

    Thinned points around it let lines leave the plot where they do, and keep the axes as they are.
    """
    most = query.max if most is None else most
    if not is_zoomed(query):
        points = source.points(series_id, max=most, first=query.first, last=query.last)
        return Window(points.steps, points.values, len(points.steps), points.count)
    first, last = visible(source, run_id, source.run(run_id), query)
    inside = source.points(series_id, max=most, first=first, last=last)
    thin = max(most // AROUND, 10)
    around = source.points(series_id, max=thin, first=query.first, last=query.last)
    before = around.steps < (-inf if first is None else first)
    after = around.steps > (inf if last is None else last)
    steps = np.concatenate([around.steps[before], inside.steps, around.steps[after]])
    values = np.concatenate([around.values[before], inside.values, around.values[after]])
    return Window(steps, values, len(inside.steps), inside.count)


def evenly(steps: NDArray[np.int64], most: int, ends: Ends) -> NDArray[np.int64]:
    """Indices of at most `most` of these steps within the ends, and of a few around them."""
    first, last = ends
    low = 0 if first is None else int(np.searchsorted(steps, first))
    high = len(steps) if last is None else int(np.searchsorted(steps, last, side="right"))
    inside = low + _evenly(high - low, most)
    if (low, high) == (0, len(steps)):
        return inside
    around = _evenly(len(steps), max(most // AROUND, 10))
    return np.unique(np.concatenate([inside, around]))


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, max(count - 1, 0), min(most, count)).round().astype(np.int64))


def _step(source: Source, run_id: str, run: RunLike, position: float, x: str) -> float:
    """The step at a position of the horizontal axis, which need not be whole."""
    if x == "step":
        return position
    steps, positions = progress.scale(source, run_id, run, x)
    if position >= positions[-1]:
        return inf
    return float(np.interp(position, positions, steps))
