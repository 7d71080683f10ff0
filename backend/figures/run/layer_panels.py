"""Small multiples: one panel a stage or tensor, every estimator in each."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import cautions, progress, window
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, estimators, layers
from backend.figures.data.source import Floats, RunLike, SeriesLike, Source
from backend.figures.data.window import Window
from backend.figures.drawing import canvas, fit, hatch, style
from backend.figures.drawing.scales import Scale
from backend.figures.drawing.text import clipped, full_name, hover_point, plain, run_name
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.reference import Reference
from backend.figures.words import layers as of_layers
from backend.figures.words.names import short_names

INFO = FigureInfo(
    title="Every layer",
    help="A measure over the run: a panel for each layer, every estimator in each, on one "
    "vertical scale.",
    reading="Look for the panel in which the lines differ: estimators differ by layer.",
    parameters=(
        "runs",
        "metric",
        "level",
        "x",
        "scale",
        "max",
        "first",
        "last",
        "left",
        "right",
    ),
    charts=(
        Chart(
            "layer-panels",
            (Place("run", "layers", 20),),
            follows=("{metric}",),
            runs="focused",
        ),
    ),
)
POINTS = 400
"""Most points of a line: a panel is small."""
ROW = 150
"""Height of a panel in pixels."""


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the first metric named (`cosine` by default) of the first run named."""
    name = query.metrics[0] if query.metrics else "cosine"
    words, run_id = metric(name), query.runs[0]
    run = source.run(run_id)
    layer_names = layers(source, run, run_id, name, query.level)
    placed = _cells(source, run, run_id, name, layer_names)
    limit = max(1, TRACES // max(1, len({series.estimator for _, series in placed})))
    placed = [cell for cell in placed if cell[0] < limit]
    most = min(query.max, POINTS)
    points = [window.read(source, run_id, series.id, query, most) for _, series in placed]
    values = np.concatenate([p.values for p in points]) if points else np.empty(0)
    fitted = fit.measures(words.scaling, query.scale, [series.values for series in points])
    scale = fitted.scale
    tally = _tally(points, values, len(layer_names), limit, query)
    tally.say(fitted.note)
    tally.add_details(words.axis.replace("<br>", ", "))
    for caution in cautions.sentences(source, query, list({s.estimator: None for _, s in placed})):
        tally.warn(caution)
    tally.warn(Reference(source, run_id).words(layer_names, query.window))
    tally.conclude(_takeaway(name, layer_names, placed, points))
    return canvas.finish(
        _traces(source, query, run, placed, points, scale),
        tally,
        title=f"{words.title} by {query.level}",
        below=[run_name(run.number, run.name)],
        height=150 + ROW * max(1, min(len(layer_names), limit)),
        **_panels(layer_names[:limit], scale, progress.TITLES[query.x]),
    )


def _takeaway(
    name: str,
    layer_names: list[str],
    placed: list[tuple[int, SeriesLike]],
    points: list[Window],
) -> str:
    """The worst layer of each estimator, by its latest values."""
    names = short_names(series.estimator for _, series in placed)
    means: dict[str, dict[str, float]] = {}
    for (at, series), shown in zip(placed, points, strict=True):
        (mean,) = of_layers.latest(shown.values[np.newaxis]).tolist()
        means.setdefault(names[series.estimator], {})[layer_names[at]] = mean
    probes = max((len(shown.values) for shown in points), default=0)
    return of_layers.of_estimators(name, means, probes)


def _tally(
    all_points: list[Window], values: Floats, rows: int, limit: int, query: Query
) -> canvas.Tally:
    tally = canvas.Tally(zoomed=window.is_zoomed(query))
    for points in all_points:
        tally.add_window(points)
    if rows > limit:
        tally.say(f"{limit} of {rows} {query.level}s; the carpet shows all")
    gaps = int((~np.isfinite(values)).sum())
    if gaps:
        tally.say(f"{gaps:,} points are NaN or infinite: gaps")
    return tally


def _traces(
    source: Source,
    query: Query,
    run: RunLike,
    placed: list[tuple[int, SeriesLike]],
    all_points: list[Window],
    scale: Scale,
) -> list[go.Scatter]:
    # The first panel that an estimator is in names it.
    heads = {series.estimator: at for at, series in reversed(placed)}
    drawn, marks = [], style.symbols(estimators(run))
    exact, hatches = Reference(source, query.runs[0]), []
    for (at, series), points in zip(placed, all_points, strict=True):
        x = progress.positions(source, query.runs[0], run, points.steps, query.x)
        named = heads[series.estimator] == at
        drawn.append(_trace(at, series, x, points.values, scale, named))
        drawn[-1].marker.symbol = marks.get(series.estimator, style.symbol(series.estimator))
        whose = full_name(series.estimator, series.layer)
        bad = exact.rounded(series, points.steps)
        y = canvas.numbers(scale.positions(points.values[bad]))
        hatches += hatch.marks(
            x[bad].tolist(), y, whose, query.x, first=not hatches, yaxis=drawn[-1].yaxis
        )
        drawn[-1].hovertemplate = hover_point(whose, query.x, metric(series.metric), "customdata")
    return drawn + hatches


def _cells(
    source: Source, run: RunLike, run_id: str, name: str, rows: list[str]
) -> list[tuple[int, SeriesLike]]:
    order = {label: at for at, label in enumerate(estimators(run))}
    place = {row: at for at, row in enumerate(rows)}
    placed = [
        (place[series.layer], series)
        for series in source.series(run_id)
        if series.metric == name and series.layer in place
    ]
    return sorted(placed, key=lambda cell: (cell[0], order.get(cell[1].estimator, len(order))))


def _panels(rows: list[str], scale: Scale, x_title: str) -> dict[str, Any]:
    """One y axis for each panel, stacked from the top; all share x and the vertical scale."""
    count = max(1, len(rows))
    layout: dict[str, Any] = {
        "xaxis": canvas.axis(x_title, anchor=f"y{count if count > 1 else ''}"),
        "annotations": [_heading(name, 1 - (at + 0.1) / count) for at, name in enumerate(rows)],
    }
    for at in range(count):
        span = [1 - (at + 0.82) / count, 1 - (at + 0.12) / count]
        tied = {"matches": "y"} if at else {}
        layout[f"yaxis{at + 1 if at else ''}"] = canvas.axis(
            "", domain=span, **scale.axis(), **tied
        )
    return layout


def _heading(name: str, y: float) -> dict[str, Any]:
    return {
        "text": plain(clipped(name)), "x": 0, "xref": "paper", "xanchor": "left", "y": y,
        "yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 12},
    }  # fmt: skip


def _trace(
    at: int, series: SeriesLike, x: Floats, values: Floats, scale: Scale, named: bool
) -> go.Scatter:
    return go.Scatter(
        x=x.tolist(), y=canvas.numbers(scale.positions(values)), customdata=canvas.numbers(values),
        yaxis=f"y{at + 1 if at else ''}", name=plain(clipped(series.estimator)),
        legendgroup=series.estimator, showlegend=named, mode="lines+markers",
        line={"color": style.colour(series.estimator), "width": 2},
        marker={"size": 6, "maxdisplayed": 25},
    )  # fmt: skip
