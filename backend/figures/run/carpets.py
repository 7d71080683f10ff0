"""Carpets of all estimators of a run on one colour scale: each layer over the probed steps."""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import cautions, progress, window
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import estimators, layers
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, cells
from backend.figures.drawing.text import clipped, hover_point, plain
from backend.figures.info import Chart, Condition, FigureInfo, Place
from backend.figures.words import layers as of_layers
from backend.figures.words.names import short_names

INFO = FigureInfo(
    title="Alignment, layer by layer",
    help="A measure of each estimator as colour: a row for each of its layers, in the order of the "
    "network, and a column for each probe. All estimators share one scale of colours. Blue is "
    "good, orange is bad.",
    reading="A row that stays grey or orange is a layer that learns from a poor gradient.",
    parameters=("runs", "metric", "level", "range", "x", "first", "last", "left", "right"),
    charts=(
        Chart(
            "carpets",
            (Place("overview", "overview", 40, span=5),),
            follows=("{metric}",),
            size="small",
            runs="focused",
            unless=Condition("dataset.name", "surface"),
        ),
    ),
)
MOST = 8
"""Most estimators that are drawn."""


class _Carpet(NamedTuple):
    name: str
    rows: list[str]
    grid: cells.Grid


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the first metric named (`cosine` by default) of the first run named."""
    name = query.metrics[0] if query.metrics else "cosine"
    words, run_id = metric(name), query.runs[0]
    run = source.run(run_id)
    labels = estimators(run)
    names = short_names(labels)
    rows = layers(source, run, run_id, name, query.level)
    seen = window.of_run(source, run_id, query)
    tally = canvas.Tally(zoomed=window.is_zoomed(query))
    carpets = []
    for label in labels[:MOST]:
        grid, part = cells.gather(source, run_id, name, label, rows, seen)
        tally.shown, tally.count = tally.shown + part.shown, tally.count + part.count
        if part.count:
            carpets.append(_Carpet(names[label], rows, grid))
    if len(labels) > MOST:
        tally.say(f"{MOST} of {len(labels)} estimators")
    colours = cells.Colours.for_values(words, _stacked(carpets), query.range)
    for caution in cautions.sentences(source, query, labels):
        tally.warn(caution)
    means = {c.name: _means(c) for c in carpets}
    probes = max((len(c.grid.steps) for c in carpets), default=0)
    tally.conclude(of_layers.of_estimators(name, means, probes))
    heights = 26 + 16 * sum(len(c.rows) for c in carpets)
    return canvas.finish(
        [
            _trace(source, query, run_id, carpet, colours, i == 0)
            for i, carpet in enumerate(carpets)
        ],
        tally,
        title=INFO.title,
        height=int(np.clip(110 + heights, 260, 420)),
        showlegend=False,
        xaxis=canvas.axis(progress.TITLES[query.x], showgrid=False),
        yaxis=canvas.axis("", type="multicategory", autorange="reversed", showgrid=False),
    )


def _means(carpet: _Carpet) -> dict[str, float]:
    """{layer: the mean of its latest probes}."""
    means = of_layers.latest(carpet.grid.values).tolist()
    return dict(zip(carpet.rows, means, strict=True))


def _stacked(carpets: list[_Carpet]) -> Floats:
    """All rows of all carpets, filled up with NaN to the same number of columns."""
    width = max((c.grid.values.shape[1] for c in carpets), default=0)
    padded = [
        np.pad(c.grid.values, ((0, 0), (0, width - c.grid.values.shape[1])), constant_values=np.nan)
        for c in carpets
    ]
    return np.vstack(padded) if padded else np.empty((0, 0))


def _trace(
    source: Source,
    query: Query,
    run_id: str,
    carpet: _Carpet,
    colours: cells.Colours,
    is_first: bool,
) -> go.Heatmap:
    name = query.metrics[0] if query.metrics else "cosine"
    run = source.run(run_id)
    x = progress.positions(source, run_id, run, carpet.grid.steps, query.x).tolist()
    linear = colours.kind == "linear"
    place = "z" if linear else "customdata"
    return go.Heatmap(
        x=x,
        y=[[plain(carpet.name)] * len(carpet.rows), [plain(clipped(r, 24)) for r in carpet.rows]],
        z=cells.gaps(colours.position(carpet.grid.values)),
        customdata=None if linear else cells.gaps(carpet.grid.values),
        hoverongaps=False,
        name=plain(carpet.name),
        hovertemplate=hover_point("%{y}", query.x, metric(name), place),
        zmin=colours.low,
        zmax=colours.high,
        colorscale=colours.scale,
        colorbar=colours.bar(),
        showscale=is_first,
    )
