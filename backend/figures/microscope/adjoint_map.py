"""The adjoint map: a phantom gradient beside the exact one, over (k, λ), as a heat map."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from backend.figures.data.microscope import adjoint_map
from backend.figures.data.microscope.adjoint_map import AdjointMapData
from backend.figures.data.query import Query
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, grid_axes, style
from backend.figures.drawing.text import hover_head, plain
from backend.figures.info import Chart, FigureInfo, Pick, Place
from estimators.statistics.adjoint_grid import POINTS, SOLVE_OF, solves_of
from estimators.statistics.formatting import counted, short

INFO = FigureInfo(
    title="Adjoint map",
    help="The gradient with a phantom adjoint of k steps (rows) and damping λ (columns), beside "
    "the exact gradient of the converged loss. npg: k terms of the damped Neumann series; upg: k "
    "damped steps from the solution, differentiated. The factor c scales all weights that multiply "
    "the state, so that the spectral radius ρ(J) of J = ∂f/∂z changes; the equilibrium is solved "
    "anew. Lines: where ‖Bᵏ‖, B = λJ + (1 − λ)I, falls below a level in all examples that were "
    "looked at; by theory the error of npg is in proportion to Bᵏ.",
    reading="Go up a column until the cosine is high enough; move the factor to see how many more "
    "steps a larger spectral radius needs, and which damping it needs.",
    parameters=("runs", "adjoint", "quantity", "factor", "layer"),
    charts=(
        Chart(
            "adjoint-map",
            (Place("adjoint_map", "adjoint-map", 10),),
            picks=(Pick("adjoint"), Pick("quantity"), Pick("layer")),
            follows=("adjoint_map/*",),
            runs="focused",
            menus={"adjoint": (), "quantity": (), "factor": ()},
        ),
    ),
)
WORDS = {
    "cosine": "cosine with the exact gradient",
    "relative_error": "relative error ‖ĝ − g‖ / ‖g‖",
    "seconds": "time of one gradient, timed once",
}
LEVELS = (0.5, 0.1, 0.01, 0.001)
"""Levels of ‖Bᵏ‖ of which a line is drawn."""
GOOD = {"cosine": 0.99, "relative_error": 0.1}
"""What the note looks for: at least this cosine, at most this error."""
EDGE = 36
"""Pixels beside the plot, in which the levels of the lines stand."""
MARK = " ✗"
EXACT = 1 - 1e-9
"""From here on a cosine is 1 but for rounding."""


def figure(source: Source, query: Query) -> go.Figure:
    """Colours are the same at every factor, so that the map can be watched while it changes."""
    data = adjoint_map.read(source, query)
    factor = data.chosen_factor(query.factor)
    layer = "" if query.quantity == "seconds" else query.layer
    values = data.over(query.quantity, factor, layer, query.adjoint)
    measured = int(np.isfinite(values).sum())
    tally = canvas.Tally(measured, measured)
    for sentence in _notes(data, factor, query, values):
        tally.say(sentence)
    traces = []
    if measured:
        traces = [_cells(data, factor, query, values), *_lines(data, factor, query)]
    radius = data.radius(factor)
    below = f"{query.adjoint}, factor {factor:g}" + (f", ρ(J) = {radius}" if radius else "")
    if layer:
        below += f", {plain(layer)}"
    return canvas.finish(
        traces, tally, title=f"{INFO.title}: {WORDS[query.quantity]}", below=[below],
        height=grid_axes.height(data.grid), showlegend=False, margin={"r": EDGE},
        annotations=_names(data, factor, query) if measured else [],
        meta={"factors": data.factor_choices()}, **grid_axes.layout(data.grid),
    )  # fmt: skip


def _notes(data: AdjointMapData, factor: float, query: Query, values: Floats) -> Iterator[str]:
    if not np.isfinite(values).any():
        return
    if not data.reliable(factor):
        yield from data.cautions(factor)
    else:
        yield _takeaway(data, factor, query, values)
        yield from data.cautions(factor)
    points = _points(data, factor, query)
    if points:
        yield f"at this factor: {points}"
    marked = [kind for kind in POINTS if data.at("not_converged", factor, "", kind) > 0]
    if data.missed(factor, query.adjoint).any():
        marked.insert(0, query.adjoint)
    if marked:
        yield f"{MARK.strip()}: {solves_of(marked)} did not converge in some examples"
    stage = data.stage(query)
    if stage and np.isfinite(data.over("bound/largest", factor, stage)).any():
        yield _norms(data, factor, query) + _how_sure(data, factor, stage)


def _takeaway(data: AdjointMapData, factor: float, query: Query, values: Floats) -> str:
    """The fewest steps that are good enough, among the settings whose solves converged."""
    kept = np.where(data.missed(factor, query.adjoint), np.nan, values)
    if not np.isfinite(kept).any():
        solve = SOLVE_OF[query.adjoint]
        return f"at every measured setting the {solve} did not converge in an example"
    if query.quantity == "seconds":
        low, high = np.nanmin(kept), np.nanmax(kept)
        exact = data.at("seconds", factor, "", "ift")
        beside = f"; ift took {1000 * exact:.3g} ms" if np.isfinite(exact) else ""
        return f"one gradient took {1000 * low:.3g} to {1000 * high:.3g} ms, timed once{beside}"
    error, limit = query.quantity == "relative_error", GOOD[query.quantity]
    good = kept <= limit if error else kept >= limit
    words = f"an error of at most {limit:g}" if error else f"a cosine of at least {limit:g}"
    rows = np.nonzero(good.any(axis=1))[0]
    sign = 1.0 if error else -1.0
    whole = np.isfinite(values).all()
    some = "" if whole else "so far, "
    if not len(rows):
        at = np.unravel_index(np.nanargmin(sign * kept), kept.shape)
        best = f"{_setting(data, *at)}: {_text(kept[at], query.quantity)}"
        return f"{some}no measured setting has {words}; the best is {best}"
    row = int(rows[0])
    column = int(np.nanargmin(np.where(good[row], sign * kept[row], np.nan)))
    found = f"{_setting(data, row, column)}: {_text(kept[row, column], query.quantity)}"
    return f"{some}the fewest measured steps with {words} are {found}"


def _setting(data: AdjointMapData, row: Any, column: Any) -> str:
    return f"k = {data.grid.steps[int(row)]} with λ = {data.grid.damping[int(column)]:g}"


def _points(data: AdjointMapData, factor: float, query: Query) -> str:
    """The value of the adjoints that have no k and λ."""
    layer = "" if query.quantity == "seconds" else query.layer
    named = {kind: data.at(query.quantity, factor, layer, kind) for kind in POINTS}
    return ", ".join(
        f"{kind} {_text(value, query.quantity)}"
        + (MARK if data.at("not_converged", factor, "", kind) > 0 else "")
        for kind, value in named.items()
        if np.isfinite(value)
    )


def _norms(data: AdjointMapData, factor: float, query: Query) -> str:
    """What the lines are; without any, between which numbers the norms lie."""
    if any(_levels(data, factor, query)):
        return "lines: where ‖Bᵏ‖ falls below the number at their end"
    norms = data.over("bound/largest", factor, data.stage(query))
    return f"‖Bᵏ‖ is between {np.nanmin(norms):.2g} and {np.nanmax(norms):.2g}"


def _how_sure(data: AdjointMapData, factor: float, stage: str) -> str:
    """Whose norms they are, and how they were found."""
    converged = data.over("bound/converged", factor, stage)
    states = data.at("states", factor, stage)
    where = f" at {plain(stage)}" if len(data.stages) > 1 else ""
    if data.at("examples", factor, stage) > 0:
        count = int(data.at("examples", factor, stage))
        return f"{where} (the largest of {counted(count, 'example')}, exact)"
    words = f"{where} (by power iterations, as there are {states:,.0f} states)"
    if (converged == 0).any():
        words += "; those that did not converge are lower bounds"
    return words


def _text(value: float, quantity: str) -> str:
    if not np.isfinite(value):
        return ""
    if quantity == "seconds":
        return f"{1000 * value:.3g} ms"
    if quantity == "cosine" and EXACT > value > 0.9995:
        return f"1 − {1 - value:.1g}"  # three digits would be 1 where it is not
    return short(value).replace("-", "−")


def _cells(data: AdjointMapData, factor: float, query: Query, values: Floats) -> go.Heatmap:
    missed = data.missed(factor, query.adjoint)
    rows, columns = values.shape
    unit, in_unit = (1000, ", ms") if query.quantity == "seconds" else (1, "")
    texts = [
        [
            _text(values[i, j], query.quantity) + (MARK if missed[i, j] else "")
            for j in range(columns)
        ]
        for i in range(rows)
    ]
    hovers = [
        [_hover(data, factor, query, i, j, bool(missed[i, j])) for j in range(columns)]
        for i in range(rows)
    ]
    return go.Heatmap(
        x=list(range(columns)), y=list(range(rows)), text=texts, texttemplate="%{text}",
        hovertext=hovers, hovertemplate="%{hovertext}<extra></extra>", hoverongaps=False,
        xgap=2, ygap=2, name="", customdata=_gaps(unit * values),
        meta={"role": "cells", "full": f"{query.adjoint}, {WORDS[query.quantity]}{in_unit}"},
        **_colours(data, query, values),
    )  # fmt: skip


def _colours(data: AdjointMapData, query: Query, values: Floats) -> dict[str, Any]:
    """Bright is near the exact gradient, or fast; the range is that of all factors."""
    layer = "" if query.quantity == "seconds" else query.layer
    whole = [data.over(query.quantity, f, layer, query.adjoint) for f in data.grid.factors]
    every = np.array(whole)
    finite = every[np.isfinite(every)]
    if query.quantity == "cosine":
        low = float(finite.min())
        if low < 0:
            return {
                "z": _gaps(values), "zmin": -1, "zmax": 1, "colorscale": style.DIVERGING,
                "colorbar": grid_axes.bar([-1, 0, 1]),
            }  # fmt: skip
        low = min(np.floor(low * 10) / 10, 0.9)
        return {
            "z": _gaps(values), "zmin": low, "zmax": 1, "colorscale": "Viridis",
            "colorbar": grid_axes.bar([low, (1 + low) / 2, 1]),
        }  # fmt: skip
    positive = finite[finite > 0]
    ends = np.log10([positive.min(), positive.max()]) if len(positive) else np.array([-1.0, 0.0])
    low, high = float(np.floor(ends[0])), float(np.ceil(ends[1]))
    low, high = (low, high) if low < high else (low - 1, high)
    z = np.log10(np.where(values > 0, values, 10.0**low))  # an error of exactly 0 is the brightest
    marks = np.arange(low, high + 1)[:: max(1, -(-int(high - low) // 4))]
    unit = 1000 if query.quantity == "seconds" else 1
    return {
        "z": _gaps(np.where(np.isfinite(values), z, np.nan)), "zmin": low, "zmax": high,
        "colorscale": "Viridis", "reversescale": True,
        "colorbar": grid_axes.bar(
            marks.tolist(), [f"{unit * 10.0**m:g}{' ms' * (unit > 1)}" for m in marks]
        ),
    }  # fmt: skip


def _gaps(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _hover(data: AdjointMapData, factor: float, query: Query, i: int, j: int, missed: bool) -> str:
    layer, kind = query.layer, query.adjoint
    numbers = {
        "cosine": data.over("cosine", factor, layer, kind)[i, j],
        "relative error": data.over("relative_error", factor, layer, kind)[i, j],
    }
    lines = [hover_head(f"{kind}, k = {data.grid.steps[i]}, λ = {data.grid.damping[j]:g}")]
    lines += [f"{name} {value:.4g}".replace("-", "−") for name, value in numbers.items()]
    seconds = data.over("seconds", factor, "", kind)[i, j]
    lines.append(f"{1000 * seconds:.3g} ms for this one gradient, timed once")
    stage = data.stage(query)
    norm = data.over("bound/largest", factor, stage)[i, j] if stage else np.nan
    if np.isfinite(norm):
        middle = data.over("bound/median", factor, stage)[i, j]
        lines.append(f"‖Bᵏ‖ {norm:.3g} at most, median {middle:.3g}")
    if missed:
        count = int(data.over("not_converged", factor, "", kind)[i, j])
        lines.append(f"the {SOLVE_OF[kind]} did not converge in {counted(count, 'example')}")
    return "<br>".join(lines)


def _lines(data: AdjointMapData, factor: float, query: Query) -> list[Any]:
    """A line for each level of ‖Bᵏ‖ that lies within the map, dark on a light edge."""
    lines = []
    for level, heights in _levels(data, factor, query):
        shared: dict[str, Any] = {
            "x": list(range(len(heights))), "y": canvas.numbers(heights),
            # A point covers the number of its cell; only by itself it is needed.
            "mode": "lines" if np.isfinite(heights).sum() > 1 else "markers",
            "hoverinfo": "skip", "name": f"‖Bᵏ‖ = {level:g}",
            # Its heights are interpolated positions: a table has ‖Bᵏ‖ beside each cell instead.
            "meta": {"role": "level", "level": level, "unlisted": True},
        }  # fmt: skip
        edge, ink = {"color": "#ffffff", "size": 8}, {"color": "#000000", "size": 5}
        lines += [
            go.Scatter(**shared, line={"color": "#ffffff", "width": 4}, marker=edge, opacity=0.7),
            go.Scatter(**shared, line={"color": "#000000", "width": 1.5}, marker=ink, opacity=0.7),
        ]
    return lines


def _names(data: AdjointMapData, factor: float, query: Query) -> list[dict[str, Any]]:
    """The level of each line, right of its end, where no number of a cell stands.

    Of most lines that is the edge of the plot; of one that ends before, between two columns.
    """
    named = []
    for level, heights in _levels(data, factor, query):
        last = int(np.nonzero(np.isfinite(heights))[0][-1])
        at_edge = last == len(heights) - 1
        inside = {"font": {"size": 10, "color": "#000000"}, "bgcolor": "rgba(255,255,255,0.8)"}
        named.append({
            "text": f"{level:g}", "x": last + 0.5, "y": float(heights[last]), "showarrow": False,
            "xanchor": "left" if at_edge else "center", "name": "unlisted", "borderpad": 1,
            **({"font": {"size": 10}} if at_edge else inside),
        })  # fmt: skip
    return named


def _levels(
    data: AdjointMapData, factor: float, query: Query
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Each level with the height of its line in every column, where it has any."""
    stage = data.stage(query)
    norms = data.over("bound/largest", factor, stage) if stage else np.full((1, 1), np.nan)
    for level in LEVELS:
        heights = _heights(norms, level)
        if np.isfinite(heights).any():
            yield level, heights


def _heights(norms: Floats, level: float) -> NDArray[np.float64]:
    """Of each column, the row from which on its norms stay below the level, between two rows.

    The logarithm of the norm is taken as linear between them. NaN if it is below from the first
    row on, or never.
    """
    heights = np.full(norms.shape[1], np.nan)
    for column in range(norms.shape[1]):
        values = norms[:, column]
        if not np.isfinite(values).all():
            continue
        above = np.nonzero(values > level)[0]
        if not len(above) or above[-1] == len(values) - 1:
            continue
        row = int(above[-1])
        high, low = values[row], max(float(values[row + 1]), 1e-300)
        share = (np.log(high) - np.log(level)) / (np.log(high) - np.log(low))
        heights[column] = row + min(1.0, float(share))
    return heights
