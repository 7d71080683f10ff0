"""A measure of every estimator, pooled over its latest probes and sorted."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import cautions, draws
from backend.figures.data.metrics import OF_ERROR, larger_is_better, metric
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, Line, lines
from backend.figures.data.source import Source
from backend.figures.drawing import canvas, style
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.summary import takeaways
from backend.figures.summary.exact import exact_stages
from backend.figures.summary.pooled import Pooled, pool
from estimators.statistics.formatting import counted

INFO = FigureInfo(
    title="Ranking",
    help="A measure of every estimator, pooled over the latest probes and sorted, best first. "
    "Estimators that point uphill, and those whose draws are not all finite, come last.",
    reading="The first row is the best estimator now; whiskers that overlap leave it open.",
    parameters=("runs", "metric", "layer", "estimator", "window"),
    charts=(
        Chart(
            "ranking",
            (Place("run", "measures", 60),),
            "Ranking by scaled error",
            "The scaled error of every estimator, pooled over the latest probes, best first. It "
            "is the error that is left when the learning rate has absorbed the scale: the fair "
            "comparison between estimators of different scale.",
            asks={"metric": "scaled_error"},
            follows=OF_ERROR,
            size="tall",
            together={},
        ),
    ),
)
ROW = 44
"""Pixels for an estimator: its name, and the dot with its whiskers below."""
SHOWN = 4
"""Most stages or estimators named in one sentence."""


def figure(source: Source, query: Query) -> go.Figure:
    """Rank by the first metric named (`scaled_error` by default)."""
    name = query.metrics[0] if query.metrics else "scaled_error"
    what = metric(name)
    matches = [line for line in lines(source, query, (name,)) if line.series.count]
    pooled = [(line, pool(source, line, query)) for line in matches]
    kept = sorted(pooled, key=lambda pooled_measure: _badness(name, pooled_measure[1]))[:TRACES]
    shown = sum(pooled_measure.probes for _, pooled_measure in kept)
    ends = np.array([v for _, p in kept for v in (p.low, p.high)])
    scale = choose(what.scaling, ends)
    several = len(query.runs) > 1
    names = [draws.name_of(line, several=several) for line, _ in kept]
    labels = [" · ".join([name, *p.faults]) for name, (_, p) in zip(names, kept, strict=True)]
    marks = style.symbols(line.label for line, _ in kept)
    traces = [
        _dot(at, line, pooled_measure, scale, names[at]).update(marker_symbol=marks[line.label])
        for at, (line, pooled_measure) in enumerate(kept)
    ]
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    tally = canvas.Tally(shown, shown)
    for caution in cautions.of_lines(source, query, [line for line, _ in kept]):
        tally.warn(caution)
    tally.say(_unfair(source, query))
    tally.add_details(
        _marks_text(max((pooled_measure.probes for _, pooled_measure in kept), default=0))
    )
    tally.add_details(what.axis.replace("<br>", ": "))
    tally.conclude(takeaways.of_measure(source, query, name, [line for line, _ in kept]))
    return canvas.finish(
        traces,
        tally,
        title=f"Ranking by {what.short}{where}",
        height=110 + ROW * max(len(kept), 2),
        margin={"l": 16, "r": 16, "t": 44, "b": 48},
        showlegend=False,
        annotations=[_label(at, label) for at, label in enumerate(labels)],
        xaxis=canvas.axis(what.axis.partition("<br>")[0], tickangle=0, **canvas.few(scale)),
        yaxis=canvas.axis("", **_rows(len(names))),
    )


def _unfair(source: Source, query: Query) -> str:
    """Sentences on stages whose exactness improves an estimator's place, for each shown run."""
    if query.layer:
        return ""
    sentences = [_exact_words(source, run_id, query.window) for run_id in query.runs]
    return "; ".join(dict.fromkeys(sentence for sentence in sentences if sentence))


def _badness(name: str, measure: Pooled) -> tuple[bool, int, float]:
    sign = -1 if larger_is_better(name) else 1
    return bool(np.isnan(measure.mean)), len(measure.faults), sign * measure.mean


def _label(at: int, name: str) -> dict[str, Any]:
    """A label above its row; beside the plot it would leave no room on a phone."""
    return {
        "text": name, "x": 0, "xref": "paper", "xanchor": "left",
        "y": at, "yref": "y", "yanchor": "bottom", "yshift": 7, "showarrow": False,
    }  # fmt: skip


def _rows(count: int) -> dict[str, Any]:
    return {
        "tickmode": "array", "tickvals": list(range(count)), "showticklabels": False,
        "range": [count - 0.6, -0.8], "fixedrange": True,
    }  # fmt: skip


def _dot(at: int, line: Line, measure: Pooled, scale: Scale, name: str) -> go.Scatter:
    mean, low, high = scale.positions(np.array([measure.mean, measure.low, measure.high])).tolist()
    what, whose = metric(line.series.metric), line.full_name(several=True)
    value_text = (
        f"{what.short} {measure.mean:.4g}{what.suffix}<br>{measure.low:.4g} … {measure.high:.4g}"
    )
    lost_text = (
        f"<br>{measure.lost} of {measure.probes} probes were not finite" if measure.lost else ""
    )
    lost_text += "".join(f"<br>{fault}" for fault in measure.faults)
    hover_text = (
        f"{hover_head(whose)}<br>{value_text} over {counted(measure.probes, 'probe')}{lost_text}"
    )
    whiskers = {
        "type": "data",
        "array": [high - mean],
        "arrayminus": [mean - low],
        "symmetric": False,
    }
    return go.Scatter(
        x=canvas.numbers(np.array([mean])), y=[at], name=name, mode="markers", text=[hover_text],
        marker={"size": 11, "color": style.colour(line.label)},
        error_x={**whiskers, "width": 5} if np.isfinite(mean) else None,
        hovertemplate="%{text}<extra></extra>", meta={"run": line.run_id, "full": whose},
    )  # fmt: skip


def _exact_words(source: Source, run_id: str, window: int) -> str:
    """A sentence on stages where an estimator is exact that is not exact everywhere; else ""."""
    labels_of: dict[tuple[str, ...], list[str]] = {}
    for label, exact in exact_stages(source, run_id, window).items():
        labels_of.setdefault(tuple(exact), []).append(label)
    sentences = [
        f"{_list(exact)} is exact for {_list(labels)}" for exact, labels in labels_of.items()
    ]
    hint = "choose a layer where none is exact for a fair comparison"
    return f"{'; '.join(sentences)}: {hint}" if sentences else ""


def _list(names: Iterable[str]) -> str:
    all_of = [clipped(name) for name in names]
    more = f" and {len(all_of) - SHOWN} more" if len(all_of) > SHOWN else ""
    return ", ".join(all_of[:SHOWN]) + more


def _marks_text(probes: int) -> str:
    """What dots and whiskers mean, where each is of at most so many probes."""
    if probes <= 1:
        return "best first; dot: the only probe so far" if probes else ""
    return (
        f"best first; dot: mean of the last {probes} probes, "
        "whisker: lowest to highest of these, not a confidence interval"
    )
