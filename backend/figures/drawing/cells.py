"""A grid of values, layer by probed step, and the colours that show it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.figures.data.metrics import Metric
from backend.figures.data.query import Query
from backend.figures.data.source import ColumnsLike, Floats, Source
from backend.figures.drawing.canvas import Tally
from backend.figures.drawing.scales import Scale, choose, tick_texts
from backend.figures.drawing.style import DIVERGING
from backend.figures.reference import Reference

COLUMNS = 500
"""Most columns of a carpet: more than a screen's width of them cannot be told apart."""
ODD = ("", "no value: NaN (a dead layer, or a gradient of norm 0)", "infinite", "exactly 0")
SMALLEST = 1e-3
"""A cosine below which the colours by decades are linear."""
EXACT = 1 - 1e-9
"""From here on a cosine is 1 but for rounding."""
GREYS = [
    [0.0, "rgba(128,128,128,0.45)"],
    [0.5, "rgba(213,94,0,0.9)"],
    [1.0, "rgba(128,128,128,0.2)"],
]
"""For NaN, infinite, zero."""


@dataclass(frozen=True)
class Grid:
    """Values (layers, steps); `has_point` says where a point exists, NaN included.

    Where columns are thinned, a cell shows the first of the points up to the next column.
    """

    steps: NDArray[np.int64]
    values: Floats
    has_point: NDArray[np.bool_]
    low: Floats
    """The lowest finite value of all points that a cell stands for; NaN without any."""
    high: Floats
    thinned: bool


def gather(
    source: Source, run_id: str, metric: str, label: str, rows: Sequence[str], query: Query
) -> tuple[Grid, Tally]:
    """Read a metric of an estimator for these layers; too many columns are thinned evenly."""
    keys = {
        s.layer: s.id for s in source.series(run_id) if s.metric == metric and s.estimator == label
    }
    ids = [keys[row] for row in rows if row in keys]
    columns = source.columns(ids, COLUMNS, first=query.first, last=query.last)
    shown = int(columns.has_point.sum())
    tally = Tally(shown, columns.count, "evenly chosen")
    thinned = shown < columns.count
    if thinned:
        tally.say(_all_points(columns))
    at = [place for place, row in enumerate(rows) if row in keys]
    return _grid(columns, at, len(rows), thinned), tally


def _all_points(columns: ColumnsLike) -> str:
    """A sentence on every point, which tells what thinning leaves out."""
    finite = columns.count - columns.odd
    if not finite:
        return "no point is finite"
    low, high = np.nanmin(columns.low), np.nanmax(columns.high)
    odd = f"; {columns.odd:,} are NaN or infinite" if columns.odd else ""
    return (
        f"all points: mean {columns.mean:.3g}, sd {columns.sd:.3g}, "
        f"from {low:.3g} to {high:.3g}{odd}"
    ).replace("-", "−")


def _grid(columns: ColumnsLike, at: list[int], rows: int, thinned: bool) -> Grid:
    def placed(cells: NDArray[Any], empty: Any) -> NDArray[Any]:
        whole = np.full((rows, len(columns.steps)), empty, cells.dtype)
        whole[at] = cells
        return whole

    values, low, high = (
        placed(cells, np.nan) for cells in (columns.values, columns.low, columns.high)
    )
    return Grid(columns.steps, values, placed(columns.has_point, False), low, high, thinned)


def rounded(
    exact: Reference, grid: Grid, rows: Sequence[str], label: str, metric: str
) -> NDArray[np.bool_]:
    """Which cells compare with an exact gradient that is rounding, (layers, steps)."""
    of_rows = [exact.rounded_at(metric, row, grid.steps) for row in rows]
    return np.array(of_rows, np.bool_).reshape(grid.has_point.shape) & grid.has_point


def without(grid: Grid, bad: NDArray[np.bool_]) -> Grid:
    """The grid without these cells, (layers, steps)."""
    values, low, high = (np.where(bad, np.nan, x) for x in (grid.values, grid.low, grid.high))
    return replace(grid, values=values, low=low, high=high)


@dataclass(frozen=True)
class Colours:
    """How values become colours: a scale, a range on it, a colour scale."""

    kind: str
    scale: Any
    low: float
    high: float
    inner: Scale

    @classmethod
    def for_values(cls, words: Metric, values: Floats, range_name: str = "auto") -> "Colours":
        """Blue-orange for alignment and signed measures, viridis on log10 for the others.

        The colours of a cosine are by decades up to ±1 where the range is "shared". They reach as
        far as its values do where it is "auto", and to ±1 where it is "full".
        """
        finite = values[np.isfinite(values)]
        full = range_name == "full"
        if words.bounds == (-1, 1) and range_name == "shared":
            inner = Scale("asinh", SMALLEST, 1.0)
            reach = float(inner.positions(np.array([1.0]))[0])
            return cls("asinh", DIVERGING, -reach, reach, inner)
        if words.bounds == (-1, 1):
            reach = 1.0 if full else reach_of(values)
            return cls("linear", DIVERGING, -reach, reach, Scale("linear"))
        if words.bounds:
            return cls("linear", "Viridis", *words.bounds, Scale("linear"))
        if words.scaling == "signed":
            inner = choose("signed", values)
            reach = float(np.abs(inner.positions(finite)).max()) if len(finite) else 1.0
            return cls("asinh", DIVERGING, -reach or -1.0, reach or 1.0, inner)
        if words.scaling == "log":
            return cls("log", "Viridis", *_range(np.log10(finite[finite > 0])), Scale("linear"))
        return cls("linear", "Viridis", *_range(finite), Scale("linear"))

    def position(self, values: Floats) -> Floats:
        """Values to numbers on the colour bar; NaN where it has no place for them."""
        usable = np.where(np.isfinite(values), values, np.nan)
        if self.kind == "log":
            return np.log10(np.where(usable > 0, usable, np.nan))
        if self.kind != "asinh":
            return self.inner.positions(usable)
        ends = self.inner.largest
        # Three decimals of a decade are more than a shade; a whole carpet of more would weigh.
        return np.round(self.inner.positions(np.clip(usable, -ends, ends)), 3)

    def odd(self, grid: Grid) -> NDArray[np.int64]:
        """Index into ODD for each cell that holds a point without a colour."""
        codes = np.zeros(grid.values.shape, np.int64)
        codes[np.isnan(grid.values)] = 1
        codes[np.isinf(grid.values)] = 2
        if self.kind == "log":
            codes[grid.values == 0] = 3
        return np.where(grid.has_point, codes, 0)

    def bar(self) -> dict[str, Any]:
        """The colour bar, below the axis so that a phone keeps its width."""
        ticks = self.inner.axis(2) if self.kind == "asinh" else {}
        if self.kind == "log":
            powers = np.arange(np.ceil(self.low), np.floor(self.high) + 1)
            powers = powers[:: max(1, -(-len(powers) // 6))]
            # A range within one decade has no whole power to mark.
            marks = powers if len(powers) > 1 else np.array([self.low, self.high])
            ticks = {"tickvals": marks.tolist(), "ticktext": tick_texts((10.0**marks).tolist())}
        if self.kind == "linear" and self.low == -self.high:
            ends = [self.low, self.low / 2, 0.0, self.high / 2, self.high]
            ticks = {"tickvals": ends, "ticktext": [f"{v:g}".replace("-", "−") for v in ends]}
        for name in ("type", "uirevision"):
            ticks.pop(name, None)
        return {
            "thickness": 10, "orientation": "h", "x": 0.5, "xanchor": "center",
            "yref": "container", "y": 0, "yanchor": "bottom", "len": 0.9, "outlinewidth": 0,
            **ticks,
        }  # fmt: skip


def exact(values: Floats) -> NDArray[np.bool_]:
    """Rows of cosines (rows, columns) that are 1 at each probe that has a value."""
    finite = np.isfinite(values)
    return np.logical_and(finite.any(axis=1), ((values >= EXACT) | ~finite).all(axis=1))


def reach_of(cosines: Floats) -> float:
    """The largest |cosine| of the rows that are not exact, rounded up to 1, 2 or 5 × 10ᵏ."""
    others = np.abs(cosines[~exact(cosines)])
    largest = float(others[np.isfinite(others)].max(initial=0.0))
    if not 1e-300 < largest <= 0.5:
        return 1.0
    unit = 10.0 ** np.floor(np.log10(largest))
    # Written out and read back, so that 2 × 0.001 is 0.002 and no neighbour of it.
    return float(f"{next(n for n in (1, 2, 5, 10) if n * unit >= largest * (1 - 1e-9)) * unit:.1g}")


def _range(values: Floats) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def gaps(values: Floats) -> Floats:
    """An array in which values that are not finite are NaN: a gap, and None in JSON."""
    return np.where(np.isfinite(values), values, np.nan)
