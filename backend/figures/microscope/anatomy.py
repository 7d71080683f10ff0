"""Layer by layer, how much of the variance the data make and how much the estimator."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.microscope import variance_split
from backend.figures.data.microscope.variance_split import MeasuredSplit
from backend.figures.data.query import Query
from backend.figures.data.select import layers
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, panels, style
from backend.figures.drawing.scales import choose
from backend.figures.drawing.text import clipped, hover_head, line_name, plain
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.words import microscope as words_of

INFO = FigureInfo(
    title="Anatomy of the variance",
    help="The variance of one draw has two sources: the batch is a sample of the training set "
    "(noise of the data, which backprop has too), and the estimator draws at random (noise of the "
    "estimator). Several draws at each of several batches separate the two: the noise of the data "
    "is the scatter of the batches' means, minus what the noise of the estimator leaves in them.",
    reading="A larger batch lowers the noise of the data; more draws lower that of the estimator.",
    parameters=("runs", "estimator", "level", "parts"),
    charts=(
        Chart(
            "anatomy",
            (Place("anatomy", "anatomy", 10),),
            "Noise of the data and of the estimator",
            menus={"parts": ()},
        ),
    ),
)
PANEL = 150
"""Height of a panel in pixels."""
WHOLE = "whole network"
MOST = 8
"""Most panels."""


def figure(source: Source, query: Query) -> go.Figure:
    """Shares as stacked bars, or the variances of one draw on a log axis."""
    rows = _rows(source, query)
    tally = canvas.Tally()
    if len(rows) > MOST:
        tally.say(f"{MOST} of {len(rows)} estimators: choose one estimator or fewer runs")
    rows = rows[:MOST]
    tally.shown = tally.count = sum(len(row) for row in rows)
    shares = query.parts == "share"
    traces: list[Any] = []
    for at, row in enumerate(rows):
        traces += _shares(row, at) if shares else _sizes(row, at)
    for sentence in _sentences(rows, shares):
        tally.say(sentence)
    tally.conclude(words_of.variance_parts({row[0].label: _own_share(row[0]) for row in rows}))
    headings = [_heading(row[0], len(query.runs) > 1) for row in rows]
    across = canvas.axis("", type="category")
    return canvas.finish(
        traces, tally, title=INFO.title, height=panels.height(len(rows), PANEL) + 40,
        barmode="stack", bargap=0.3, showlegend=False,
        **panels.layout(headings, PANEL, across, [_up(rows, shares)] * len(rows)),
    )  # fmt: skip


def _rows(source: Source, query: Query) -> list[list[MeasuredSplit]]:
    """For each run and estimator, its layers: the network, then its stages or tensors."""
    by_estimator: dict[tuple[str, str], list[MeasuredSplit]] = {}
    for run_id in query.runs:
        run = source.run(run_id)
        names = layers(source, run, run_id, "anatomy/data", query.level)
        for layer in ("", *names):
            for measured in variance_split.read(source, query, layer):
                if measured.run_id == run_id:
                    by_estimator.setdefault((run_id, measured.label), []).append(measured)
    return list(by_estimator.values())


def _own_share(measured: MeasuredSplit) -> float:
    """The estimator's part of the variance; NaN without any variance."""
    data, own = max(measured.split.data, 0.0), measured.split.estimator
    return own / (data + own) if data + own > 0 else np.nan


def _names(row: Sequence[MeasuredSplit]) -> list[str]:
    return [plain(clipped(measured.layer, 32)) or WHOLE for measured in row]


def _shares(row: list[MeasuredSplit], at: int) -> list[Any]:
    data, estimator = (
        np.array([getattr(measured.split, name) for measured in row]) for name in NAMES
    )
    data = np.maximum(data, 0)
    whole = data + estimator
    has_variance = whole > 0
    bars = []
    for name, values in zip(NAMES, (data, estimator), strict=True):
        share = np.divide(values, whole, out=np.full(len(row), np.nan), where=has_variance)
        bars.append(
            go.Bar(x=_names(row), y=canvas.numbers(share), text=_texts(row, name),
                   hovertemplate="%{text}<br>%{y:.1%} of the variance<extra></extra>",
                   textposition="none", **_look(row, name, at))
        )  # fmt: skip
    return bars


NAMES = ("data", "estimator")


def _sizes(row: list[MeasuredSplit], at: int) -> list[Any]:
    """Marks with bars of one standard error; a bar from nowhere would mean nothing here."""
    traces = []
    for name in NAMES:
        values = np.array([getattr(measured.split, name) for measured in row])
        shown = np.where(values > 0, values, np.nan)
        errors = [getattr(measured.split, f"{name}_se") for measured in row]
        look = _look(row, name, at)
        look["marker"] = {
            "color": style.colour(row[0].label), "size": 11,
            "symbol": style.symbol(row[0].label) + ("-open" if name == "data" else ""),
            "line": {"width": 2, "color": style.colour(row[0].label)},
        }  # fmt: skip
        mark = go.Scatter(
            x=_names(row), y=canvas.numbers(shown), mode="markers", text=_texts(row, name),
            hovertemplate="%{text}<extra></extra>", **look,
        )  # fmt: skip
        if any(error is not None for error in errors):
            spread = np.array([0.0 if error is None else error for error in errors])
            mark.error_y = _bars(shown, spread)
        traces.append(mark)
    return traces


def _bars(values: Floats, errors: Floats) -> dict[str, Any]:
    """On a log axis the lower end stays above zero."""
    lower = np.minimum(errors, 0.95 * np.nan_to_num(values))
    return {
        "type": "data", "symmetric": False, "array": errors.tolist(), "arrayminus": lower.tolist(),
        "thickness": 1, "width": 3,
    }  # fmt: skip


def _look(row: list[MeasuredSplit], name: str, at: int) -> dict[str, Any]:
    colour = style.colour(row[0].label)
    hatched = {"shape": "/", "fillmode": "overlay", "size": 7, "solidity": 0.35}
    return {
        "name": f"{plain(clipped(row[0].label))}: {WORDS[name]}",
        "marker": {"color": colour, "opacity": 0.45 if name == "data" else 1.0,
                   "line": {"width": 0}, "pattern": hatched if name == "data" else {}},
        "meta": {"run": row[0].run_id, "part": name}, **panels.axes(at),
    }  # fmt: skip


WORDS = {"data": "noise of the data", "estimator": "noise of the estimator"}


def _texts(row: list[MeasuredSplit], name: str) -> list[str]:
    return [_text(measured, name, where) for measured, where in zip(row, _names(row), strict=True)]


def _text(measured: MeasuredSplit, name: str, where: str) -> str:
    value, error = getattr(measured.split, name), getattr(measured.split, f"{name}_se")
    spread = "" if error is None else f" ± {error:.2g} (standard error)"
    return (
        f"{hover_head(where)}<br>{WORDS[name]}: tr Var {value:.4g}{spread}"
        f"<br>of one draw on a batch of {measured.split.batch:,}"
    )


def _heading(measured: MeasuredSplit, several: bool) -> str:
    run = measured.run
    head = hover_head(line_name(measured.label, run.number, run.name, several=several))
    return f"{head}<br>{measured.split.batches:,} batches of {measured.split.batch:,} examples"


def _up(rows: list[list[MeasuredSplit]], shares: bool) -> dict[str, Any]:
    if shares:
        return canvas.axis("share", tickformat=".0%", range=[0, 1.001], nticks=5)
    values = np.array(
        [getattr(measured.split, name) for row in rows for measured in row for name in NAMES]
    )
    positive = values[values > 0]
    scale = choose("log", positive) if len(positive) else choose("linear", positive)
    ends = {"range": _ends(positive)} if len(positive) else {}
    return canvas.axis("tr Var", **{**scale.axis(), **ends})


def _ends(values: Floats) -> list[float]:
    """One range for all panels, so that estimators can be compared."""
    low, high = np.log10(values.min()), np.log10(values.max())
    room = 0.15 * max(high - low, 0.5)
    return [float(low - room), float(high + room)]


def _sentences(rows: list[list[MeasuredSplit]], shares: bool) -> list[str]:
    below = [measured for row in rows for measured in row if measured.split.data < 0]
    nothing = [
        measured
        for row in rows
        for measured in row
        if max(measured.split.data, 0) + measured.split.estimator == 0
    ]
    errors = any(measured.split.data_se is not None for row in rows for measured in row)
    few = rows and not errors
    where = ", ".join(dict.fromkeys(_names(below)[:3])) + (" …" if len(below) > 3 else "")
    return [
        "hatched: noise of the data; full: of the estimator" if shares else
        "open: noise of the data; full: of the estimator; one vertical scale for all",
        "total variances of one honest draw (by the estimator itself)",
        "bars: ± 1 standard error over batches, no confidence interval"
        if errors and not shares else "",
        "too few batches for standard errors (below 8)" if few else "",
        "the estimated noise of the data is below zero, as an estimate of a small variance can be: "
        f"{where}"
        if below else "",
        f"no variance at all: {', '.join(dict.fromkeys(_names(nothing)))}" if nothing else "",
    ]  # fmt: skip
