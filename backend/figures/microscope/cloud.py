"""The draw cloud: where the draws of one estimator lie, along the gradient and across it."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import draws
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import Line, chosen_estimator
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, density, style
from backend.figures.drawing.text import clipped, hover_head, plain, run_name
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.words import microscope as words_of
from estimators.statistics.formatting import counted
from estimators.statistics.student import Sample

Range = tuple[float, float]
FAR = 1.0
"""How many times the width of 96 % of the draws the range goes on beyond them."""
ALONG, ACROSS = "draw/along", "draw/across"
INFO = FigureInfo(
    title="Draw cloud",
    help="Each point is a draw: how far it reaches along the exact gradient, and how far across "
    "it, in the direction in which the draws scatter most (of 256 random ones). The star is the "
    "exact gradient.",
    reading="An estimator whose cloud is not centred on the star is biased.",
    parameters=("runs", "estimator", "max"),
    charts=(
        Chart(
            "cloud",
            (Place("draws", "draws", 30),),
            follows=(ALONG, ACROSS),
            size="tall",
            per_estimator=True,
        ),
    ),
)


def figure(source: Source, query: Query) -> go.Figure:
    """Draw one estimator (the driver by default) of the first run named."""
    run_id = query.runs[0]
    run = source.run(run_id)
    label = chosen_estimator(source, run_id, run, ACROSS, query.estimator)
    tally = canvas.Tally(selection="evenly chosen")
    x, y, line = _read(source, run_id, label, tally)
    limits: tuple[Range | None, Range | None] = None, None
    all_equal = len(x) > 1 and density.reach(x) == density.reach(y) == 0
    traces: list[Any] = []
    if len(x):
        keep = np.unique(np.linspace(0, len(x) - 1, min(query.max, len(x))).round().astype(int))
        tally.shown = tally.count if all_equal else len(keep)
        rings = density.contours(x, y)
        tally.say(density.WORDS if rings else "")
        limits = _limits(x, 1.0), _limits(y, 0.0)
        traces = [*rings, _points(x[keep], y[keep], label, run_id), *_marks(x, y)]
        far = _far(x, y, limits, label)
        for mark in far:
            out = counted(len(mark.x), "draw")
            tally.say(f"{out} beyond the range, marked at its edge")
        traces += far
    tally.conclude(words_of.cloud(label, x))
    if all_equal:
        tally.say("every draw is the same: no noise to show")
    if line:
        tally.say(draws.how(source, [line.key]))
        tally.warn(draws.lost(source, line, tally.count - len(x)))
    # Rounding alone must not fill an axis.
    across = _around(x, all_equal) or _range(limits[0])
    up = {"range": [-1.1, 1.1]} if all_equal else _range(limits[1])
    return canvas.finish(
        traces,
        tally,
        title=f"{INFO.title} · {plain(clipped(label))}",
        below=[run_name(run.number, run.name)],
        height=380,
        xaxis=canvas.axis(metric(ALONG).axis, nticks=5, tickangle=0, **across),
        yaxis=canvas.axis(metric(ACROSS).axis, nticks=6, **up),
    )


def _limits(values: Floats, centre: float) -> Range | None:
    """A range that draws far out do not stretch; None where it would leave nothing out."""
    low, high = np.quantile(np.append(values, centre), [0.02, 0.98])
    reach = FAR * float(high - low)
    if not reach or (values.min() >= low - reach and values.max() <= high + reach):
        return None
    return float(low - reach), float(high + reach)


def _range(limits: Range | None) -> dict[str, Any]:
    return {"range": list(limits)} if limits else {}


def _far(x: Floats, y: Floats, limits: tuple[Range | None, Range | None], label: str) -> list[Any]:
    """Draws beyond the range, marked at its edge with their places."""
    inside = [
        np.clip(values, *ends) if ends else values
        for values, ends in zip((x, y), limits, strict=True)
    ]
    far = (inside[0] != x) | (inside[1] != y)
    if not far.any():
        return []
    words = [f"along {a:.4g}<br>across {b:.4g}" for a, b in zip(x[far], y[far], strict=True)]
    return [
        go.Scatter(
            x=inside[0][far].tolist(), y=inside[1][far].tolist(), mode="markers",
            name="beyond the range", text=words, cliponaxis=False,
            marker={"symbol": "diamond-open", "size": 10, "color": style.colour(label),
                    "line": {"width": 2, "color": style.colour(label)}},
            meta={"role": "beyond the range"},
            hovertemplate=f"{hover_head(plain(label))}<br>beyond the range<br>%{{text}}"
            "<extra></extra>",
        )
    ]  # fmt: skip


def _around(x: Floats, all_equal: bool) -> dict[str, Any]:
    """Where every draw is the exact gradient, room to both sides of it."""
    exact = all_equal and bool(np.abs(x - 1).max() < 1e-3)
    return {"range": [0.4, 1.6]} if exact else {}


def _read(
    source: Source, run_id: str, label: str, tally: canvas.Tally
) -> tuple[Floats, Floats, Line | None]:
    """Both coordinates of the draws that have them, (n,) each."""
    series = {s.metric: s for s in source.series(run_id) if s.estimator == label and not s.layer}
    if not {ALONG, ACROSS} <= series.keys():
        return np.empty(0), np.empty(0), None
    line = Line(run_id, source.run(run_id), 0, series[ALONG])
    along, across = (source.points(series[name].id) for name in (ALONG, ACROSS))
    _, here, there = np.intersect1d(along.steps, across.steps, return_indices=True)
    x, y = along.values[here], across.values[there]
    tally.count = len(x)
    good = np.isfinite(x) & np.isfinite(y)
    return x[good], y[good], line


def _points(x: Floats, y: Floats, label: str, run_id: str) -> go.Scatter:
    name = plain(label)
    return go.Scatter(
        x=x.tolist(), y=y.tolist(), mode="markers", name="draws",
        marker={"symbol": style.symbol(label), "size": 5, "color": style.colour(label),
                "opacity": 0.5},
        hovertemplate=f"{hover_head(name)}<br>along %{{x:.4~g}}<br>across %{{y:.4~g}}"
        "<extra></extra>",
        meta={"run": run_id},
    )  # fmt: skip


def _marks(x: Floats, y: Floats) -> list[go.Scatter]:
    """The exact gradient, and the mean of the draws."""
    middle = (float(x.mean()), float(y.mean()))
    error = Sample.from_values(x).standard_error
    mean_words = f"mean of the draws<br>along {middle[0]:.4g} ± {error:.2g} (standard error)"
    return [
        _mark("mean of the draws", middle, "cross", mean_words),
        _mark("exact gradient", (1.0, 0.0), "star", "exact gradient (1, 0)"),
    ]


def _mark(name: str, at: tuple[float, float], symbol: str, words: str) -> go.Scatter:
    return go.Scatter(
        x=[at[0]], y=[at[1]], name=name, mode="markers", text=[words],
        marker={"symbol": symbol, "size": 14, "color": "#808080",
                "line": {"width": 1.5, "color": "#FFFFFF"}},
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
