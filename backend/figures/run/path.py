"""The paths of runs on a surface, drawn on its contour."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, driver
from backend.figures.data.source import Floats, RunLike, Source
from backend.figures.drawing import canvas, style
from backend.figures.drawing.names import numbered
from backend.figures.drawing.surface_contour import SurfaceContour, contour_of
from backend.figures.drawing.text import full_name, hover_head, line_name
from backend.figures.info import Chart, Condition, FigureInfo, Place

INFO = FigureInfo(
    title="Path on the surface",
    help="The path of the weights over the surface, a line for each run, on lines of equal loss "
    "(a decade is a few lines). The large mark is the run's latest place.",
    reading="A straight path to the star is a good gradient; a random walk is noise.",
    parameters=("runs", "max", "first", "last"),
    charts=(
        Chart(
            "path",
            (Place("run", "training", 50), Place("overview", "overview", 40, span=5)),
            follows=("path/*",),
            only=Condition("dataset.name", "surface"),
            together={},
        ),
    ),
)
METRICS = ("path/x0", "path/x1")
FEW = 60
"""Steps that are marked each, before the marks would hide the line."""


class RunPath(NamedTuple):
    """All points of a run's path."""

    run_id: str
    run: RunLike
    several: bool
    """Whether it is drawn beside other runs."""
    steps: NDArray[np.int64]
    x: Floats
    y: Floats

    @property
    def run_index(self) -> int:
        return style.run_index(self.run.number, self.run_id)

    @property
    def name(self) -> str:
        run = self.run
        return line_name(driver(run), run.number, run.name, several=self.several)

    @property
    def whole_name(self) -> str:
        return full_name(driver(self.run), numbered(self.run.number, self.run.name))


def figure(source: Source, query: Query) -> go.Figure:
    """Draw every run that is on the surface of the first run."""
    ways = [way for run_id in query.runs if (way := _path_of(source, query, run_id))]
    tally = canvas.Tally(selection="evenly spaced")
    ground = contour_of(_surface(ways[0].run)) if ways else None
    kept = [way for way in ways if _surface(way.run) == _surface(ways[0].run)][:TRACES]
    for way in ways:
        if way not in kept:
            tally.say(f"run #{way.run.number} is on another surface and is not drawn")
    # Drivers have colours of their own, as long as no two here share one.
    distinct = len({style.colour(driver(way.run)) for way in kept}) == len(kept)
    lines = [_line(way, query.max, tally, alone=distinct) for way in kept]
    view = _view(kept, ground)
    for way in kept:
        tally.say(_beyond(way, view))
    shown = [] if ground is None else [ground.contour(*view), *ground.marks()]
    across, up = ground.axes if ground else ("x₀", "x₁")
    return canvas.finish(
        [*shown[:1], *lines, *shown[1:]],
        tally,
        title=INFO.title + (f" · {ground.title}" if ground else ""),
        height=460,
        xaxis=canvas.axis(across, range=list(view[0])),
        yaxis=canvas.axis(up, range=list(view[1])),
    )


def _surface(run: RunLike) -> Mapping[str, Any]:
    return run.config.get("dataset") or {}


def _path_of(source: Source, query: Query, run_id: str) -> RunPath | None:
    ids = {s.metric: s.id for s in source.series(run_id) if s.metric in METRICS}
    if len(ids) < 2:
        return None
    # Whole, because each series thinned for itself would keep other steps.
    x, y = (source.points(ids[m], first=query.first, last=query.last) for m in METRICS)
    _, at_x, at_y = np.intersect1d(x.steps, y.steps, return_indices=True)
    run = source.run(run_id)
    place_of = (x.steps[at_x], x.values[at_x], y.values[at_y])
    return RunPath(run_id, run, len(query.runs) > 1, *place_of)


def _line(way: RunPath, most: int, tally: canvas.Tally, *, alone: bool) -> go.Scatter:
    """The path, thinned evenly; its beginning and end are kept."""
    count = len(way.steps)
    keep = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
    tally.shown += len(keep)
    tally.count += count
    colour = style.colour(driver(way.run)) if alone else style.run_colour(way.run_index)
    last = np.arange(len(keep)) == len(keep) - 1
    return go.Scatter(
        x=_short(way.x[keep]),
        y=_short(way.y[keep]),
        text=[f"step {step:,}" for step in way.steps[keep].tolist()],
        name=way.name,
        legendgroup=way.run_id,
        mode="lines+markers",
        line={"color": colour, "width": 1.5, "dash": style.run_dash(way.run_index)},
        marker={
            "color": colour,
            "symbol": style.symbol(driver(way.run)),
            "size": np.where(last, 11, 3 if len(keep) < FEW else 0).tolist(),
            "line": {"width": 0},
        },
        hovertemplate=f"{hover_head(way.whole_name)}<br>%{{text}}<br>(%{{x:.4g}}, %{{y:.4g}})"
        "<extra></extra>",
        meta={"run": way.run_id},
    )


def _short(values: Floats) -> list[float | None]:
    """Values to six digits, which is a thousandth of a pixel and a third of the text."""
    return [None if v is None else float(f"{v:.6g}") for v in canvas.numbers(values)]


def _view(ways: list[RunPath], ground: SurfaceContour | None) -> tuple[tuple[float, float], ...]:
    """The surface's own window, widened to hold the paths, at most threefold."""
    window = ground.window if ground else ((-1.0, 1.0), (-1.0, 1.0))
    return tuple(
        _widened(low, high, [w.x if axis == 0 else w.y for w in ways])
        for axis, (low, high) in enumerate(window)
    )


def _widened(low: float, high: float, values: list[Floats]) -> tuple[float, float]:
    every = np.concatenate([*values, [low, high]])
    every, size = every[np.isfinite(every)], high - low
    margin = 0.04 * size if every.min() < low or every.max() > high else 0.0
    return (
        float(max(every.min() - margin, low - size)),
        float(min(every.max() + margin, high + size)),
    )


def _beyond(way: RunPath, view: tuple[tuple[float, float], ...]) -> str:
    (left, right), (low, high) = view
    outside = ~((way.x >= left) & (way.x <= right) & (way.y >= low) & (way.y <= high))
    if not outside.any():
        return ""
    return f"run #{way.run.number} leaves the view at step {int(way.steps[outside][0]):,}"
