"""The solves of equilibria over a run: iterations, residuals, convergence, spectral radius."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import cautions, progress, window
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, Line
from backend.figures.data.source import Source
from backend.figures.drawing import canvas, panels, style
from backend.figures.drawing.names import numbered
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, full_name, hover_point, plain, run_name
from backend.figures.info import Chart, FigureInfo, Pick, Place

RADIUS, CONVERGED = "equilibrium/spectral_radius", "equilibrium/spectral_radius_converged"
INFO = FigureInfo(
    title="Solver and spectral radius",
    help="The solves of the network's equilibria by the driver at each step, forward (of the state "
    "z = f(z)) and backward (of the linear equations of its derivatives): the most iterations and "
    "the largest residual of an example, and how many examples did not converge. Below, at each "
    "probe, the largest spectral radius ρ of ∂f/∂z over the examples.",
    reading="The nearer ρ is to 1, the more iterations a solve takes and the further off phantom "
    "gradients are; from 1 on, the Neumann series does not converge.",
    parameters=("runs", "residual", "x", "max", "first", "last", "left", "right"),
    charts=(
        Chart(
            "solver",
            (Place("run", "measures", 85),),
            follows=(
                "estimator/forward_*", "estimator/backward_*", "estimator/not_*", "equilibrium/*",
            ),
            picks=(Pick("residual", own=True),),
            with_points=True,
            menus={"residual": ()},
        ),
    ),
)  # fmt: skip
PANEL = 150
"""Height of one, in pixels."""
KINDS = {"forward": style.BLUE, "backward": style.ORANGE}
LOST = {"not_converged": style.VERMILION, "not_finite": style.PURPLE}


@dataclass(frozen=True)
class Panel:
    """One quantity: its heading, and the metrics that it shows, each with a name and colour."""

    heading: str
    metrics: dict[str, tuple[str, str]]
    floor: float | None = None
    """The least value that its axis shows, where it has one."""


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the reports of the solves of the runs, and the spectral radii at their probes."""
    found = _lines(source, query)
    shown = [panel for panel in _panels(query) if any(_in(panel, line) for line in found)]
    tally = canvas.Tally(zoomed=window.is_zoomed(query))
    traces: list[go.Scatter] = []
    axes: list[dict[str, Any]] = []
    for at, panel in enumerate(shown):
        lines = [line for line in found if _in(panel, line)]
        read = [window.read(source, line.run_id, line.series.id, query) for line in lines]
        words = metric(lines[0].series.metric)
        scale = choose(words.scaling, np.concatenate([points.values for points in read]))
        for line, points in zip(lines, read, strict=True):
            tally.add_window(points)
            traces.append(_trace(source, query, line, points, panel, scale, at))
            if lost := int((~np.isfinite(points.values)).sum()):
                tally.say(f"{traces[-1].name}: {lost:,} shown points are not finite")
        axes.append(canvas.axis("", **scale.axis(), **_range(panel)))
    for sentence in _notes(source, query, found):
        tally.say(sentence)
    if len(traces) > TRACES:
        tally.say(f"{TRACES} of {len(traces)} lines: choose fewer runs")
    groups = [trace.legendgroup for trace in traces]
    for place, trace in enumerate(traces):  # one entry for a kind of solve in all its panels
        trace.showlegend = groups.index(trace.legendgroup) == place
    return canvas.finish(
        traces[:TRACES],
        tally,
        title=INFO.title,
        height=panels.height(len(shown), PANEL),
        shapes=_limits(shown),
        **panels.layout(
            [panel.heading for panel in shown],
            PANEL,
            canvas.axis(progress.TITLES[query.x]),
            axes,
        ),
    )


def _panels(query: Query) -> list[Panel]:
    absolute = query.residual == "absolute"
    residual = "absolute_residual" if absolute else "residual"
    formula = "‖f(z) − z‖" if absolute else "‖f(z) − z‖ / ‖f(z)‖"
    return [
        Panel("Iterations, largest of the examples", _by_kind("iterations"), 0.0),
        Panel(f"{query.residual.capitalize()} residual, {formula}", _by_kind(residual)),
        Panel(
            "Examples that did not converge",
            {f"estimator/{key}": (key.replace("_", " "), colour) for key, colour in LOST.items()},
            0.0,
        ),
        Panel("Spectral radius ρ of ∂f/∂z", {RADIUS: ("ρ", style.GREEN)}, 0.0),
    ]


def _by_kind(name: str) -> dict[str, tuple[str, str]]:
    return {f"estimator/{kind}_{name}": (kind, colour) for kind, colour in KINDS.items()}


def _in(panel: Panel, line: Line) -> bool:
    return line.series.metric in panel.metrics


def _range(panel: Panel) -> dict[str, Any]:
    return {} if panel.floor is None else {"rangemode": "tozero"}


def _limits(shown: Sequence[Panel]) -> list[dict[str, Any]]:
    """The line from which on the Neumann series does not converge."""
    return [
        {
            "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1,
            "yref": f"y{at + 1 if at else ''}",
            "line": {"color": style.GREY, "width": 1, "dash": "dash"},
        }
        for at, panel in enumerate(shown) if RADIUS in panel.metrics
    ]  # fmt: skip


def _lines(source: Source, query: Query) -> list[Line]:
    drawn = {name for panel in _panels(query) for name in panel.metrics}
    return [
        Line(run_id, run, place, series)
        for place, run_id in enumerate(query.runs)
        for run in [source.run(run_id)]
        for series in source.series(run_id)
        if series.metric in drawn and series.count
    ]


def _trace(
    source: Source,
    query: Query,
    line: Line,
    points: window.Window,
    panel: Panel,
    scale: Scale,
    at: int,
) -> go.Scatter:
    words, (name, colour) = metric(line.series.metric), panel.metrics[line.series.metric]
    several = len(query.runs) > 1
    if line.series.layer:
        name = f"{name} of {line.series.layer}"
        colour = style.run_colour(_stages(source, line).index(line.series.layer) + 2)
    whole = full_name(
        f"{words.title}: {line.series.layer}" if line.series.layer else words.title,
        line.series.estimator,
        numbered(line.run.number, line.run.name) if several else "",
    )
    shown = plain(clipped(name))
    if several:
        shown += f" · {run_name(line.run.number, line.run.name)}"
    hollow = _not_converged(source, line, points)
    meta: dict[str, Any] = {"run": line.run_id, "x": query.x, "full": whole}
    if query.x == "step" and scale.kind != "asinh" and hollow is None:
        meta |= {"series": line.series.id, "positive": scale.kind == "log"}
    symbol: Any = style.SYMBOLS[list(panel.metrics).index(line.series.metric)]
    if hollow is not None:
        symbol = [f"{symbol}-open" if each else symbol for each in hollow.tolist()]
    asinh = scale.kind == "asinh"
    return go.Scatter(
        x=progress.positions(source, line.run_id, line.run, points.steps, query.x).tolist(),
        y=canvas.numbers(scale.positions(points.values)),
        customdata=canvas.numbers(points.values) if asinh else None,
        name=shown,
        mode="lines+markers",
        line={"color": colour, "dash": style.run_dash(line.run_index), "width": 2},
        marker={"symbol": symbol, "size": 6, "maxdisplayed": 40},
        legendgroup=f"{line.run_id} {name}",
        hovertemplate=hover_point(whole, query.x, words, "customdata" if asinh else "y"),
        meta=meta,
        **panels.axes(at),
    )


def _stages(source: Source, line: Line) -> list[str]:
    """The layers of a run that have a spectral radius."""
    return [s.layer for s in source.series(line.run_id) if s.metric == RADIUS]


def _not_converged(source: Source, line: Line, points: window.Window) -> Any:
    """At which points the estimate of some example did not converge; None for no spectral radius,
    or where all did."""
    if line.series.metric != RADIUS:
        return None
    for series in source.series(line.run_id):
        if (series.metric, series.layer) == (CONVERGED, line.series.layer):
            shares = source.points(series.id)
            hollow = np.isin(points.steps, shares.steps[shares.values < 1])
            return hollow if hollow.any() else None
    return None


def _notes(source: Source, query: Query, found: Sequence[Line]) -> Iterator[str]:
    radii = [line for line in found if line.series.metric == RADIUS]
    if radii:
        yield "dashed: ρ = 1, from which on the Neumann series does not converge"
    for line in radii:
        points = window.read(source, line.run_id, line.series.id, query)
        if _not_converged(source, line, points) is not None:
            yield "hollow: the estimate of ρ did not converge for every example"
            break
    for run_id in query.runs if found else ():
        if words := cautions.reference(source, run_id):
            yield words
