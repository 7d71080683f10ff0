"""The carpet: a measure of one estimator as colour, layer by layer, over the probed steps."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import cautions, draws, progress, window
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import chosen_estimator, estimators, layers
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, cells, hatch
from backend.figures.drawing.text import (
    clipped,
    hover_head,
    hover_mark,
    hover_point,
    plain,
    run_name,
)
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.reference import Reference
from backend.figures.words import layers as of_layers
from backend.figures.words.names import short_name

INFO = FigureInfo(
    title="Carpet",
    help="A measure of one estimator as colour: a row for each layer, in the order of the "
    "network, and a column for each probe. Blue is good, orange is bad.",
    reading="A row that stays orange is a layer that learns from a poor gradient.",
    parameters=(
        "runs",
        "metric",
        "estimator",
        "level",
        "range",
        "x",
        "first",
        "last",
        "left",
        "right",
    ),
    charts=(
        Chart(
            "carpet",
            (Place("run", "layers", 10),),
            follows=("{metric}",),
            size="tall",
            runs="focused",
            per_estimator=True,
            menus={"estimator": (), "metric": ("cosine", "relative_variance")},
        ),
    ),
)
MARKS = 600
"""Most hatched cells that carry a mark."""


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
    x = progress.positions(source, run_id, run, grid.steps, query.x).tolist()
    unit = "draws" if draws.is_microscope(run) and query.x == "step" else query.x
    templates = [hover_point("%{y}", unit, words, place) for place in ("z", "customdata")]
    shared = _all_values(source, run_id, name, query, seen) if query.range == "shared" else None
    colours = cells.Colours.for_values(
        words, grid.values if shared is None else shared, query.range
    )
    for caution in cautions.sentences(source, query, [label]):
        tally.warn(caution)
    tally.add_details("colour: " + words.axis.replace("<br>", ", "))
    if words.bounds == (-1, 1) and rows and query.range != "shared":
        tally.say(_reach(grid, rows, colours.high))
    exact = Reference(source, run_id)
    tally.warn(exact.words(rows, query.window))
    means = of_layers.latest(grid.values)
    short = short_name(label) if label else ""
    tally.conclude(of_layers.of_estimator(name, short, rows, means, len(grid.steps)))
    at_layer, at_step = np.nonzero(cells.rounded(exact, grid, rows, label, name))
    shown = canvas.evenly(len(at_layer), MARKS) if len(at_layer) else []
    marked = [x[i] for i in at_step[shown]], [plain(rows[i]) for i in at_layer[shown]]
    hatches = hatch.marks(*marked, plain(label), unit)
    whose = f"{plain(clipped(label))} · " if label else ""
    return canvas.finish(
        [*_traces(grid, x, [plain(row) for row in rows], colours, unit, templates), *hatches],
        tally,
        title=words.title,
        below=[f"{whose}{run_name(run.number, run.name)}"],
        height=int(np.clip(150 + 22 * len(rows), 260, 900)),
        showlegend=False,
        xaxis=canvas.axis(progress.TITLES[unit], showgrid=False),
        yaxis=canvas.axis("", **_rows(rows)),
    )


def _all_values(source: Source, run_id: str, name: str, query: Query, seen: Query) -> Floats:
    """The values of all estimators of the run, which share a scale of colours."""
    if metric(name).bounds:  # whose colours have the same ends whatever the values are
        return np.empty(0)
    run = source.run(run_id)
    rows = layers(source, run, run_id, name, query.level)
    grids = [cells.gather(source, run_id, name, label, rows, seen)[0] for label in estimators(run)]
    return np.concatenate([grid.values.ravel() for grid in grids]) if grids else np.empty(0)


def _reach(grid: cells.Grid, rows: list[str], reach: float) -> str:
    """The range of a cosine's colours, and the layers beyond it."""
    beyond = [row for row, is_exact in zip(rows, cells.exact(grid.values), strict=True) if is_exact]
    range_words = f"colour range ±{reach:g}"
    if reach == 1 or not beyond:
        return range_words
    more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
    named = ", ".join(clipped(row) for row in beyond[:3])
    return f"{range_words}; exact, shown in the last colour of the range: {named}{more}"


def _rows(names: list[str]) -> dict[str, Any]:
    ticks = names[:: max(1, -(-len(names) // 40))]
    size = 12 if len(names) <= 20 else 9
    return {
        "type": "category", "autorange": "reversed", "showgrid": False, "tickmode": "array",
        "tickvals": [plain(tick) for tick in ticks],
        "ticktext": [plain(clipped(tick, 32)) for tick in ticks],
        "tickfont": {"size": size},
    }  # fmt: skip


def _traces(
    grid: cells.Grid,
    x: list[float],
    names: list[str],
    colours: cells.Colours,
    unit: str,
    templates: list[str],
) -> list[Any]:
    if not names or not x:
        return []
    linear = colours.kind == "linear"
    shown = go.Heatmap(
        x=x, y=names, z=cells.gaps(colours.position(grid.values)),
        customdata=None if linear else cells.gaps(grid.values), hoverongaps=False, name="",
        hovertemplate=templates[0 if linear else 1],
        zmin=colours.low, zmax=colours.high, colorscale=colours.scale, colorbar=colours.bar(),
    )  # fmt: skip
    return [shown, *_odd(grid, x, names, colours, unit)]


def _odd(
    grid: cells.Grid, x: list[float], names: list[str], colours: cells.Colours, unit: str
) -> list[Any]:
    """Cells that have no colour (NaN, infinite or zero), in grey, with the reason."""
    codes = colours.odd(grid)
    if not codes.any():
        return []
    return [
        go.Heatmap(
            x=x, y=names, z=[[code or None for code in row] for row in codes.tolist()],
            text=[[cells.ODD[code] or None for code in row] for row in codes.tolist()],
            zmin=1, zmax=len(cells.ODD) - 1, colorscale=cells.GREYS, showscale=False,
            hoverongaps=False, hovertemplate=f"{hover_head('%{y}')}<br>{hover_mark(unit)}", name="",
        )
    ]  # fmt: skip
