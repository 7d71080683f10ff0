"""A study's results against a varied field: a line for each method, with intervals over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.drawing import canvas, panels, style
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.info import FigureInfo
from backend.figures.studies.labels import axis_title, colour, metric_in_units
from backend.figures.words import studies as words_of
from backend.studies.measure import Measure
from backend.studies.table import Row, StudyTable

INFO = FigureInfo(
    title="Results against a varied field",
    help="The mean over seeds against the first varied field that is a number. Whiskers are "
    "Student's 95 % intervals. Each method has a line; a second varied field gives each of its "
    "values a line, and with a third one each method has panels of its own.",
    reading="Where the whiskers of two lines overlap by much, more seeds are needed.",
    parameters=(),
    charts=(),
)
LINES = 12
"""Lines of a panel."""
PANELS = 8
PANEL = 230
"""Pixels of a panel."""


@dataclass
class _Line:
    """The rows that differ in the field of the axis alone."""

    name: str
    colour: str
    rows: list[tuple[float, Row]] = field(default_factory=list)


def across(rows: Sequence[Row], varied: Sequence[str]) -> str:
    """The varied field that the axis shows: the first one with at least two numbers; else ""."""
    return next((name for name in varied if len(_numbers(rows, name)) >= 2), "")


def _numbers(rows: Sequence[Row], name: str) -> set[float]:
    values = [row.flat.get(name) for row in rows]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return set()
    return {float(value) for value in values if isinstance(value, int | float)}


def figure(table: StudyTable, varied: Sequence[str], method_of: Mapping[str, str]) -> go.Figure:
    """Draw the table; `varied` are the study's varied fields, `method_of` {variant: method}."""
    measure, x = table.measure, across(table.rows, varied)
    groups = _panels(table.rows, x, [name for name in varied if name != x], method_of)
    shown = dict([*groups.items()][:PANELS])
    drawn = [line for lines in shown.values() for line in lines[:LINES]]
    count = sum(len(line.rows) for lines in groups.values() for line in lines)
    tally = canvas.Tally(sum(len(line.rows) for line in drawn), count, "the first lines")
    tally.conclude(words_of.of_table(table))
    words = metric_in_units(measure)
    means = np.array([row.sample.mean * measure.scale for line in drawn for _, row in line.rows])
    scale = choose(words.scaling, means)
    traces = [
        _trace(line, at, measure, scale)
        for at, lines in enumerate(shown.values())
        for line in lines[:LINES]
    ]
    return canvas.finish(
        _legend_once(traces), tally,
        title=f"{INFO.title}: {plain(measure.title)} by {_field(x)}",
        nothing="no run has ended yet",
        **_layout([*shown], _axis(x, drawn), canvas.axis(axis_title(measure), **scale.axis())),
    )  # fmt: skip


def _panels(
    rows: Sequence[Row], x: str, others: Sequence[str], method_of: Mapping[str, str]
) -> dict[str, list[_Line]]:
    """{heading: lines}. One other field: lines in the method's panel; more: panels of their own."""
    methods = dict.fromkeys(method_of[row.label] for row in rows)
    panels_of: dict[str, dict[str, _Line]] = {}
    for row in rows:
        value, method = row.flat.get(x), method_of[row.label]
        settings = [f"{_field(name)} {_shown(row.flat.get(name))}" for name in others]
        heading = ", ".join([*([method] if others and len(methods) > 1 else []), *settings[1:]])
        name = settings[0] if settings else method
        lines = panels_of.setdefault(heading, {})
        drawn = style.run_colour(len(lines)) if settings else colour(method)
        line = lines.setdefault(name, _Line(name, drawn))
        if isinstance(value, int | float) and row.sample.count:
            line.rows.append((float(value), row))
    return {heading: [*lines.values()] for heading, lines in panels_of.items()}


def _trace(line: _Line, panel: int, measure: Measure, scale: Scale) -> go.Scatter:
    rows = sorted(line.rows, key=lambda pair: pair[0])
    means = np.array([row.sample.mean for _, row in rows], np.float64) * measure.scale
    halves = np.array([row.half_width for _, row in rows], np.float64) * measure.scale
    halves = np.nan_to_num(halves)
    heights = scale.positions(means)
    # A whisker that reaches zero or below ends at the mean on a scale of logarithms.
    lower = np.where(scale.kind == "log", np.where(means > halves, means - halves, means),
                     means - halves)  # fmt: skip
    name = plain(line.name)
    return go.Scatter(
        x=[value for value, _ in rows], y=canvas.numbers(heights),
        mode="lines+markers", name=plain(clipped(line.name, 34)), legendgroup=line.name,
        line={"color": line.colour, "width": 1.8}, marker={"size": 7, "color": line.colour},
        error_y={
            "type": "data", "symmetric": False, "thickness": 1.2, "width": 3,
            "array": canvas.numbers(scale.positions(means + halves) - heights),
            "arrayminus": canvas.numbers(heights - scale.positions(lower)),
        },
        text=[plain(row.mean_text(measure)) for _, row in rows],
        hovertemplate=f"{hover_head(name)}<br>%{{x:.4~g}}<br>%{{text}}<extra></extra>",
        meta={"full": name}, **panels.axes(panel),
    )  # fmt: skip


def _legend_once(traces: Sequence[go.Scatter]) -> list[go.Scatter]:
    """The traces, each entry of the legend shown once."""
    seen: set[str] = set()
    for trace in traces:
        group = str(trace.legendgroup)
        trace.showlegend = group not in seen
        seen.add(group)
    return [*traces]


def _axis(x: str, lines: Sequence[_Line]) -> dict[str, Any]:
    """The axis of the field: of logarithms where its values span at least a factor of 8."""
    values = sorted({value for line in lines for value, _ in line.rows})
    axis = canvas.axis(plain(_field(x)), tickangle=0)
    if not values:
        return axis
    if min(values) > 0 and max(values) / min(values) >= 8:
        axis["type"] = "log"
    # The values that were run are the ticks, unless they are too many for a phone.
    few = values if len(values) <= 6 else values[:: -(-len(values) // 5)]
    return {**axis, "tickvals": few, "ticktext": [_shown(value) for value in few]}


def _field(name: str) -> str:
    return plain(name.rpartition(".")[2] or name)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else plain(str(value))


def _layout(headings: Sequence[str], across: dict[str, Any], up: dict[str, Any]) -> dict[str, Any]:
    if [*headings] in ([""], []):
        return {
            "xaxis": across, "yaxis": up, "height": 380,
            "margin": {"l": 60, "r": 16, "t": 44, "b": 90},
        }  # fmt: skip
    layout = panels.layout([plain(clipped(each)) for each in headings], PANEL, across,
                           [up] * len(headings))  # fmt: skip
    return {**layout, "height": panels.height(len(headings), PANEL)}
