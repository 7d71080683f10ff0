"""The tuning of a study: the metric against the tuned value, a line for each variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.drawing import canvas, edge, panels, style
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.info import FigureInfo
from backend.figures.studies.labels import axis_title, colour
from backend.figures.words import studies as words_of
from backend.studies.measure import Measure
from backend.studies.tuning_notes import names
from backend.studies.tuning_plan import Choice, CurvePoint
from estimators.statistics.formatting import counted

INFO = FigureInfo(
    title="Tuning",
    help="The mean validation metric over the tuning seeds against the tuned value. A ring is "
    "around the chosen value, and a square where it is the smallest or the largest that was tried. "
    "A cross in the strip below is a value at which a run diverged; hollow marks are runs of fewer "
    "steps, which halving left behind. With a second tuned field, each variant has a panel, and "
    "each value of that field a line.",
    reading="A choice at the edge of its line may not be the best: try values beyond it.",
    parameters=(),
    charts=(),
)
LINES = 40
PANELS = 6
PANEL = 210
"""Pixels of a panel."""
STRIP = 6
"""Heights at which crosses are drawn, so that variants that diverge together are all seen."""
CHOSEN, AT_EDGE, DIVERGED = "chosen", "chosen, at the edge", "diverged"
_RINGS = {CHOSEN: "circle-open", AT_EDGE: "square-open"}


@dataclass(frozen=True)
class Line:
    """The points of a variant, or of one value of its second field."""

    name: str
    colour: str
    symbol: str
    points: Sequence[CurvePoint]
    choice: Choice
    """Of its variant."""


def figure(choices: Mapping[str, Choice], measure: Measure) -> go.Figure:
    """Draw {variant: choice}; the first `LINES` variants, or `PANELS` with a second field."""
    second = any(choice.also_field for choice in choices.values())
    groups = _panels(choices) if second else [("", _variants(choices))]
    shown = groups[:PANELS] if second else [(head, lines[:LINES]) for head, lines in groups]
    points = [point for _, lines in shown for line in lines for point in line.points]
    count = sum(len(choice.curve) for choice in choices.values())
    tally = canvas.Tally(len(points), count, "the first variants")
    for words in _notes(choices, measure):
        tally.say(words)
    tally.conclude(words_of.of_choices(choices))
    values = np.array([point.metric for point in points], np.float64) * measure.scale
    scale = choose(measure.scaling, values)
    traces = [
        trace
        for at, (_, lines) in enumerate(shown)
        for trace in _panel(at, len(shown), lines, measure, scale)
    ]
    field = next((choice.field for choice in choices.values()), "optimizer.lr")
    return canvas.finish(
        _once(traces), tally,
        title=f"{INFO.title} by {plain(measure.title)}",
        nothing="no tuning run has ended yet",
        **_layout(shown, field, measure, scale),
    )  # fmt: skip


def _variants(choices: Mapping[str, Choice]) -> list[Line]:
    marks = style.symbols(choices)
    return [
        Line(label, colour(label), marks[label], choice.curve, choice)
        for label, choice in choices.items()
    ]


def _panels(choices: Mapping[str, Choice]) -> list[tuple[str, list[Line]]]:
    """(variant, a line for each value of the second field)."""
    drawn = []
    for label, choice in choices.items():
        field = choice.also_field.rpartition(".")[2]
        of_value: dict[Any, list[CurvePoint]] = {}
        for point in choice.curve:
            of_value.setdefault(point.also, []).append(point)
        lines = [
            Line(f"{field} {_shown(also)}" if field else label, style.run_colour(at),
                 style.SYMBOLS[at % len(style.SYMBOLS)], some, choice)
            for at, (also, some) in enumerate(of_value.items())
        ]  # fmt: skip
        drawn.append((label, lines))
    return drawn


def _panel(
    at: int, count: int, lines: Sequence[Line], measure: Measure, scale: Scale
) -> list[go.Scatter]:
    axes = panels.axes(at)
    bottom = {**axes, "yaxis": f"y{count + at + 1}"}
    traces = []
    for place, line in enumerate(lines):
        finite = [point for point in line.points if np.isfinite(point.metric)]
        lost = [point.value for point in line.points if not np.isfinite(point.metric)]
        traces.append(_line(line, finite, measure, scale, axes))
        traces += _rings(line, finite, measure, scale, axes)
        if lost:
            traces.append(_crosses(line, lost, place % STRIP, bottom))
    return traces


def _line(
    line: Line, points: Sequence[CurvePoint], measure: Measure, scale: Scale, axes: dict[str, str]
) -> go.Scatter:
    values = np.array([point.metric for point in points], np.float64) * measure.scale
    symbols = [line.symbol + ("" if point.fraction == 1 else "-open") for point in points]
    name = plain(line.name)
    steps = [
        "" if point.fraction == 1 else f"<br>at {point.fraction:.2g} of the steps"
        for point in points
    ]
    return go.Scatter(
        x=[point.value for point in points], y=canvas.numbers(scale.positions(values)),
        customdata=canvas.numbers(values), text=steps, name=plain(clipped(line.name, 34)),
        legendgroup=line.name, mode="lines+markers",
        line={"color": line.colour, "width": 1.8},
        marker={"symbol": symbols, "size": 8, "color": line.colour,
                "line": {"width": 1.5, "color": line.colour}},
        hovertemplate=f"{hover_head(name)}<br>%{{x:.4~g}}<br>{plain(measure.title)} "
        f"%{{customdata:.4~g}}{measure.suffix}%{{text}}<extra></extra>",
        meta={"full": name}, **axes,
    )  # fmt: skip


def _rings(
    line: Line, points: Sequence[CurvePoint], measure: Measure, scale: Scale, axes: dict[str, str]
) -> list[go.Scatter]:
    """A ring around the chosen point, if it is on this line."""
    best = next((p for p in points if p.point == (line.choice.value, line.choice.also)), None)
    if best is None:
        return []
    kind = AT_EDGE if line.choice.at_edge else CHOSEN
    height = scale.positions(np.array([best.metric * measure.scale])).tolist()
    words = "; ".join(filter(None, [kind, line.choice.note]))
    return [
        go.Scatter(
            x=[best.value], y=height, mode="markers", name=kind, legendgroup=kind,
            text=[f"{hover_head(plain(line.name))}<br>{plain(words)}"],
            marker={"symbol": _RINGS[kind], "size": 19, "color": line.colour,
                    "line": {"width": 2.5, "color": line.colour}},
            hovertemplate="%{text}<br>%{x:.4~g}<extra></extra>",
            meta={"role": kind, "full": plain(f"{line.name}, {kind}")}, **axes,
        )
    ]  # fmt: skip


def _crosses(line: Line, values: Sequence[float], height: int, axes: dict[str, str]) -> go.Scatter:
    text = f"{hover_head(plain(line.name))}<br>a run diverged"
    return go.Scatter(
        x=list(values), y=[height] * len(values), mode="markers", name=DIVERGED,
        legendgroup=DIVERGED, text=[text] * len(values), cliponaxis=False,
        marker={"symbol": "x", "size": 8, "color": line.colour,
                "line": {"color": edge.BAD, "width": 2}},
        hovertemplate="%{text}<br>%{x:.4~g}<extra></extra>",
        meta={"role": DIVERGED, "full": plain(f"{line.name}, {DIVERGED}")}, **axes,
    )  # fmt: skip


def _once(traces: Sequence[go.Scatter]) -> list[go.Scatter]:
    """The traces, each entry of the legend shown once, the lines before the marks."""
    seen: set[str] = set()
    ordered = sorted(traces, key=lambda trace: trace.mode == "markers")
    for trace in ordered:
        group = str(trace.legendgroup)
        trace.showlegend = group not in seen
        seen.add(group)
    return ordered


def _notes(choices: Mapping[str, Choice], measure: Measure) -> list[str]:
    """The chosen values, and what must be said of them."""
    said = []
    at_edge = [label for label, choice in choices.items() if choice.at_edge]
    if at_edge:
        said.append(f"{counted(len(at_edge), 'choice')} at the edge of what was tried")
    for label, choice in choices.items():
        singular = names(choice.field)[0]
        chosen = [] if choice.value is None else [
            f"{singular} {choice.value:.4g}",
            *([f"{choice.also_field.rpartition('.')[2]} {_shown(choice.also)}"]
              if choice.also_field else []),
            measure.value(choice.metric),
        ]  # fmt: skip
        said.append(f"{clipped(label)}: {', '.join([*chosen, *filter(None, [choice.note])])}")
    return said if len(said) <= LINES else [*said[:LINES], f"and {len(said) - LINES} more"]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _field(field: str) -> str:
    name = field.rpartition(".")[2]
    return "learning rate" if name == "lr" else name


def _layout(
    shown: Sequence[tuple[str, list[Line]]], field: str, measure: Measure, scale: Scale
) -> dict[str, Any]:
    tried = [point.value for _, lines in shown for line in lines for point in line.points]
    across = canvas.axis(plain(_field(field)), tickangle=0, **_values(tried))
    up = canvas.axis(axis_title(measure), **scale.axis())
    if [head for head, _ in shown] == [""]:
        layout: dict[str, Any] = {
            "xaxis": across, "yaxis": {**up, "domain": [0.0, 1.0]},
            # The heading of the only panel, for the chart's table.
            "annotations": [{"text": "", "showarrow": False, "x": 0, "y": 0, "xref": "paper",
                             "yref": "paper"}],
            "margin": {"l": 60, "r": 16, "t": 44, "b": 90},
            "height": 380 + 8 * min(len(shown[0][1]), 20),
        }  # fmt: skip
    else:
        heads = [plain(clipped(head)) for head, _ in shown]
        layout = panels.layout(heads, PANEL, across, [up] * len(heads))
        layout["height"] = panels.height(len(heads), PANEL)
    for at, (_, lines) in enumerate(shown):
        suffix, number = str(at + 1) if at else "", len(shown) + at + 1
        axes = layout[f"xaxis{suffix}"], layout[f"yaxis{suffix}"]
        layout[f"yaxis{number}"] = _strip(lines, suffix, number, *axes)
    return layout


def _values(tried: Sequence[float]) -> dict[str, Any]:
    """A log axis of the tuned value, with few enough ticks for a phone."""
    ticks = canvas.few(choose("log", np.array(tried, np.float64)))
    if tried and "dtick" in ticks:
        ticks["dtick"] = float(max(1, np.ceil(np.log10(max(tried) / min(tried)) / 4)))
    return ticks


def _strip(
    lines: Sequence[Line], suffix: str, number: int, across: dict[str, Any], up: dict[str, Any]
) -> dict[str, Any]:
    """The axis of the crosses; where there are any, it takes room below that of the values."""
    low, high = up["domain"]
    if any(np.isnan(point.metric) for line in lines for point in line.points):
        up["domain"] = [low + 0.24 * (high - low), high]
        across["anchor"] = f"y{number}"
        high = low + 0.2 * (high - low)
    return {
        "visible": False, "range": [-0.7, STRIP - 0.3], "fixedrange": True,
        "anchor": f"x{suffix}", "domain": [low, high],
    }  # fmt: skip
