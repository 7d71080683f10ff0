"""One measurement at a frozen point: a panel for each measure, a row for each layer."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.metrics import MEASURES, metric
from backend.figures.drawing import canvas, style
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, hover_head, plain

Row = Sequence[Any]
"""(metric, layer, estimator, value)."""


class Measured(Protocol):
    """What `estimators.measurement` returns, as far as it is drawn."""

    def rows(self) -> Iterable[Row]: ...


def figure(measured: Measured) -> go.Figure:
    """Dot plots of every measure; the whole network is the first row."""
    rows = [tuple(row) for row in measured.rows() if row[0] in MEASURES]
    metrics = [name for name in MEASURES if any(row[0] == name for row in rows)]
    layers = list(dict.fromkeys(row[1] for row in rows))
    labels = list(dict.fromkeys(row[2] for row in rows))
    traces: list[Any] = []
    layout: dict[str, Any] = {"annotations": []}
    for at, name in enumerate(metrics):
        of_metric = [row for row in rows if row[0] == name]
        scale = choose(metric(name).scaling, np.array([row[3] for row in of_metric], np.float64))
        traces += _dots(at, of_metric, layers, scale, labels)
        _panel(layout, at, len(metrics), name, layers, scale)
    tally = canvas.Tally(len(rows), len(rows))
    height = 150 + -(-len(metrics) // 2) * (110 + 20 * len(layers))
    return canvas.finish(traces, tally, title="Measurement", height=height, **layout)


def _dots(
    at: int, rows: Sequence[Row], layers: list[str], scale: Scale, labels: list[str]
) -> list[go.Scatter]:
    drawn, what, marks = [], metric(rows[0][0]), style.symbols(labels)
    for label in labels:
        of_label = [row for row in rows if row[2] == label]
        values = np.array([row[3] for row in of_label], np.float64)
        # A legend entry for an estimator whose values are all NaN is how one sees that they are.
        drawn.append(
            go.Scatter(
                x=canvas.numbers(scale.positions(values)),
                y=[layers.index(row[1]) for row in of_label],
                xaxis=f"x{at + 1 if at else ''}", yaxis=f"y{at + 1 if at else ''}",
                customdata=canvas.numbers(values), mode="markers", name=plain(clipped(label)),
                legendgroup=label, showlegend=at == 0,
                marker={"symbol": marks[label], "size": 9, "color": style.colour(label)},
                hovertemplate=f"{hover_head(plain(label))}<br>%{{text}}<br>"
                f"{what.short} %{{customdata:.4~g}}<extra></extra>",
                text=[plain(clipped(row[1])) or "whole network" for row in of_label],
            )
        )  # fmt: skip
    return drawn


def _panel(
    layout: dict[str, Any], at: int, count: int, name: str, layers: list[str], scale: Scale
) -> None:
    rows, words = -(-count // 2), metric(name)
    left, top = (at % 2) * 0.56, 1 - (at // 2) / rows
    suffix = at + 1 if at else ""
    names = [plain(clipped(layer, 28)) or "(network)" for layer in layers]
    layout[f"xaxis{suffix}"] = canvas.axis(
        words.axis,
        domain=[left, left + 0.44],
        anchor=f"y{suffix}",
        tickangle=0,
        **canvas.few(scale),
    )
    layout[f"yaxis{suffix}"] = canvas.axis(
        "", domain=[top - 0.68 / rows, top - 0.06 / rows], anchor=f"x{suffix}", tickmode="array",
        tickvals=list(range(len(names))), ticktext=names if at % 2 == 0 else [""] * len(names),
        range=[len(names) - 0.5, -0.5],
    )  # fmt: skip
