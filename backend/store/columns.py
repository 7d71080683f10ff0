"""Several series as a grid: a row a series, a column a step, with at most so many columns.

Where there are more steps than columns, a cell stands for the steps up to the next column. It
shows the first point among them, and knows the lowest and the highest of all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.store import summaries
from backend.store.chunks import Steps, Values
from backend.store.summaries import BLOCK, Blocks


@dataclass(frozen=True)
class Columns:
    """Cells (rows, columns), and a summary of every point that they stand for."""

    steps: Steps
    """(columns,): the first step of each column."""
    values: Values
    """The value of the first point of each cell; NaN where there is none."""
    has_point: NDArray[np.bool_]
    """Where there is a point, whose value may be NaN."""
    low: Values
    """The lowest finite value of all points of a cell; NaN without any."""
    high: Values
    count: int
    """All points, shown or not."""
    odd: int
    """Those that are not finite."""
    mean: float
    """Of all finite points."""
    sd: float
    """Their standard deviation, √(M2 / n)."""


class Row(Protocol):
    """One series within the range asked for, read when it is needed."""

    def steps(self) -> Steps: ...
    def points(self) -> tuple[Steps, Values]: ...


@dataclass(frozen=True)
class Held:
    """A row that is in memory already."""

    held_steps: Steps
    values: Values

    def steps(self) -> Steps:
        return self.held_steps

    def points(self) -> tuple[Steps, Values]:
        return self.held_steps, self.values


def of_points(rows: Sequence[Row], most: int) -> Columns:
    """The grid of rows whose points are read one row after the other."""
    steps = np.empty(0, np.int64)
    for row in rows:
        more = row.steps()
        if not np.array_equal(steps, more):
            steps = np.union1d(steps, more)
    edges = steps
    if len(steps) > most:
        edges = steps[np.linspace(0, len(steps) - 1, most).round().astype(np.int64)]
    return _grid((_on_edges(*row.points(), edges) for row in rows), len(rows), len(edges))


def _on_edges(steps: Steps, values: Values, edges: Steps) -> tuple[NDArray[np.int64], Blocks]:
    """The columns that have points, and their blocks."""
    if not len(steps):
        return np.empty(0, np.int64), np.empty(0, BLOCK)
    place = np.searchsorted(edges, steps, "right") - 1
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    return place[starts], summaries.of_points(steps, values, starts)


class BlockRow(Protocol):
    """One series within the range asked for, whose blocks are read when they are needed."""

    @property
    def ends(self) -> tuple[int, int] | None:
        """Bounds of its steps; None without points."""
        ...

    @property
    def unit(self) -> int:
        """A power of two of steps: each block lies within one multiple of it."""
        ...

    def blocks(self) -> Blocks: ...


def of_blocks(rows: Sequence[BlockRow], most: int) -> Columns:
    """The grid of rows of blocks; a column has a whole multiple of the steps of the widest block.

    There may be fewer columns than `most`.
    """
    ends = [row.ends for row in rows if row.ends is not None]
    first, last = min(first for first, _ in ends), max(last for _, last in ends)
    unit = max(row.unit for row in rows)
    size = unit * -(-(last // unit - first // unit + 1) // most)
    columns = last // size - first // size + 1
    return _grid((_on_bins(row.blocks(), first // size, size) for row in rows), len(rows), columns)


def _on_bins(blocks: Blocks, first: int, size: int) -> tuple[NDArray[np.int64], Blocks]:
    if not len(blocks):
        return np.empty(0, np.int64), blocks
    place = blocks["first_step"] // size - first
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    return place[starts], summaries.merge(blocks, starts)


def _grid(rows: Iterable[tuple[NDArray[np.int64], Blocks]], height: int, columns: int) -> Columns:
    cells = np.zeros((height, columns), BLOCK)
    for at, (places, blocks) in enumerate(rows):
        cells[at, places] = blocks
    cells = cells[:, cells["count"].any(axis=0)]
    has_point = cells["count"] > 0
    present = cells[has_point]
    whole = summaries.merge(present, np.zeros(1, np.intp)) if len(present) else np.zeros(1, BLOCK)
    finite = int(whole["count"][0] - whole["odd"][0])
    unknown = np.iinfo(np.int64).max
    shown = {name: np.where(has_point, cells[name], np.nan) for name in ("first", "low", "high")}
    return Columns(
        np.where(has_point, cells["first_step"], unknown).min(axis=0, initial=unknown),
        shown["first"], has_point, shown["low"], shown["high"],
        int(whole["count"][0]), int(whole["odd"][0]),
        float(whole["mean"][0]) if finite else np.nan,
        float(np.sqrt(whole["m2"][0] / finite)) if finite else np.nan,
    )  # fmt: skip
