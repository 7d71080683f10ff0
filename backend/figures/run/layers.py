"""One metric of one estimator, a line a layer; beyond forty layers, bands over them."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from backend.figures.data import cautions, progress, window
from backend.figures.data.metrics import Metric, metric
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, chosen_estimator, layers
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, cells, edge, hatch, run_events, switches
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.style import DASHES, SYMBOLS
from backend.figures.drawing.text import clipped, hover_point, plain, run_name
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.reference import Reference
from backend.figures.words import layers as of_layers
from backend.figures.words.names import short_name

INFO = FigureInfo(
    title="Layers",
    help="One metric of one estimator over the run: a line for each stage or tensor, coloured by "
    "depth; of more than forty layers, bands of their values.",
    reading="Lines that fan out by colour show a measure that changes with depth.",
    parameters=("runs", "metric", "estimator", "level", "x", "first", "last", "left", "right"),
    charts=(Chart("layers", (Place("run", "more", 10),), runs="focused"),),
)
BANDS = (("lowest to highest", 0.0, 1.0, 0.15), ("10 % to 90 %", 0.1, 0.9, 0.3))

HoverWords = tuple[str, Metric]
"""What a hover speaks of besides its line: the horizontal axis, the metric."""


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the first metric named (`cosine` by default) of the first run named."""
    name = query.metrics[0] if query.metrics else "cosine"
    words, run_id = metric(name), query.runs[0]
    run = source.run(run_id)
    label = chosen_estimator(source, run_id, run, name, query.estimator)
    rows = layers(source, run, run_id, name, query.level)
    seen = window.of_run(source, run_id, query)
    grid, tally = cells.gather(source, run_id, name, label, rows, seen)
    tally.zoomed = window.is_zoomed(query)
    scale = choose(words.scaling, grid.values)
    x = progress.positions(source, run_id, run, grid.steps, query.x)
    for caution in cautions.sentences(source, query, [label]):
        tally.warn(caution)
    many = len(rows) > TRACES
    if many:
        tally.say(f"bands over {len(rows)} {query.level}s, not intervals")
        if grid.thinned:
            tally.say("the widest band is of every point, the others of those shown")
    exact = Reference(source, run_id)
    tally.warn(exact.words(rows, query.window))
    means = of_layers.latest(grid.values)
    short = short_name(label) if label else ""
    tally.conclude(of_layers.of_estimator(name, short, rows, means, len(grid.steps)))
    hatches = [] if many else _hatches(exact, grid, x, rows, scale, (label, name, query.x))
    if many:
        grid = cells.without(grid, cells.rounded(exact, grid, rows, label, name))
    draw = _bands if many else _lines
    whose = f"{plain(clipped(label))} · " if label else ""
    return canvas.finish(
        [
            *draw(grid, x, rows, scale, (query.x, words)),
            *hatches,
            *run_events.marks(source, query, (run_id,)),
        ],
        tally,
        title=f"{words.title} by {query.level}",
        below=[f"{whose}{run_name(run.number, run.name)}"],
        xaxis=canvas.axis(progress.TITLES[query.x]),
        yaxis=canvas.axis(words.axis, **scale.axis()),
        yaxis2=edge.AXIS,
        shapes=switches.shapes(source, query, (run_id,)),
    )


def _hatches(
    exact: Reference,
    grid: cells.Grid,
    x: Floats,
    rows: list[str],
    scale: Scale,
    what: tuple[str, str, str],
) -> list[Any]:
    """Hatches over the points that compare with rounding; `what`: label, metric, the query's x."""
    label, name, at = what
    bad = cells.rounded(exact, grid, rows, label, name)
    drawn: list[Any] = []
    for place, row in enumerate(rows):
        y = canvas.numbers(scale.positions(grid.values[place][bad[place]]))
        drawn += hatch.marks(x[bad[place]].tolist(), y, plain(row), at, first=not drawn)
    return drawn


def _lines(
    grid: cells.Grid, x: Floats, rows: list[str], scale: Scale, words: HoverWords
) -> list[Any]:
    # The ends of viridis vanish on a dark or on a light page.
    depths = np.linspace(0.15, 0.85, max(len(rows), 2)).tolist()
    colours = [str(colour) for colour in sample_colorscale("Viridis", depths)]
    drawn, odd = [], []
    for at, row in enumerate(rows):
        has_point = grid.has_point[at]
        values, name = grid.values[at][has_point], plain(row)
        drawn.append(_line(x[has_point], values, scale, row, colours[at], at, words))
        odd += edge.not_finite(x[has_point], values, name, colours[at], words[0], not odd)
    return drawn + odd


def _line(
    x: Floats, values: Floats, scale: Scale, row: str, colour: str, at: int, words: HoverWords
) -> go.Scatter:
    return go.Scatter(
        x=x.tolist(), y=canvas.numbers(scale.positions(values)), customdata=canvas.numbers(values),
        name=plain(clipped(row)), legendgroup=row, mode="lines+markers",
        line={"color": colour, "width": 2, "dash": DASHES[at // len(SYMBOLS) % len(DASHES)]},
        marker={"symbol": SYMBOLS[at % len(SYMBOLS)], "size": 6, "maxdisplayed": 40},
        hovertemplate=hover_point(plain(row), *words, "customdata"),
    )  # fmt: skip


def _bands(
    grid: cells.Grid, x: Floats, rows: list[str], scale: Scale, words: HoverWords
) -> list[Any]:
    usable = np.where(np.isfinite(grid.values), grid.values, np.nan)
    has_value = ~np.isnan(usable).all(axis=0)
    at, values = x[has_value], usable[:, has_value]
    if not len(at):
        return []
    traces: list[Any] = []
    for name, low, high, opacity in BANDS:
        lower, upper = np.nanquantile(values, [low, high], axis=0)
        if (low, high) == (0, 1):  # exact, however many points are not shown
            lower = np.nanmin(grid.low[:, has_value], axis=0)
            upper = np.nanmax(grid.high[:, has_value], axis=0)
        traces += _band(
            at, scale.positions(lower), scale.positions(upper), f"{name} of {len(rows)}", opacity
        )
    middle, name = np.nanmedian(values, axis=0), f"median of {len(rows)}"
    return [*traces, _line(at, middle, scale, name, "#0072B2", 0, words)]


def _band(x: Floats, lower: Floats, upper: Floats, name: str, opacity: float) -> list[Any]:
    edge: dict[str, Any] = {"x": x.tolist(), "mode": "lines", "line": {"width": 0}}
    shared = {**edge, "legendgroup": name, "name": name, "hoverinfo": "skip"}
    fill = {"fill": "tonexty", "fillcolor": f"rgba(0,114,178,{opacity})"}
    return [
        go.Scatter(**shared, y=lower.tolist(), showlegend=False),
        go.Scatter(**shared, y=upper.tolist(), **fill),
    ]
