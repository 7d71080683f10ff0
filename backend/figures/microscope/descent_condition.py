"""The descent condition of Geng et al. over (k, λ): in how many examples it holds."""

from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.microscope import adjoint_map
from backend.figures.data.microscope.adjoint_map import AdjointMapData
from backend.figures.data.query import Query
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, grid_axes
from backend.figures.drawing.text import hover_head, plain
from backend.figures.info import Chart, FigureInfo, Place
from estimators.statistics.adjoint_grid import MOST_STATES, AdjointGrid
from estimators.statistics.formatting import counted, short

INFO = FigureInfo(
    title="Descent condition",
    help="The share of examples in which ‖A(I − J) − ∂f/∂θ‖ ≤ σ_min²/σ_max, A being the map from "
    "parameters to the state that npg uses and σ the singular values of ∂f/∂θ. There, npg "
    "has no negative product with the exact gradient of that example, whatever the loss (Geng et "
    "al., theorem 1). In brackets: the share with ‖Bᵏ‖ ≤ 1/κ², κ = σ_max/σ_min, its simple and "
    "stricter form. Evaluated example by example, for at most 256 states.",
    reading="The condition is sufficient and not necessary: where it fails, the gradient can "
    "still descend, as the cosines show; where it holds, npg does not ascend the loss of that "
    "example.",
    parameters=("runs", "factor", "layer"),
    charts=(
        Chart(
            "descent-condition",
            (Place("adjoint_map", "descent", 10),),
            follows=("adjoint_map/*",),
            runs="focused",
            menus={"factor": ()},
        ),
    ),
)


def figure(source: Source, query: Query) -> go.Figure:
    """A heat map of the shares, or why there is none."""
    data = adjoint_map.read(source, query)
    factor, stage = data.chosen_factor(query.factor), data.stage(query)
    shares = data.over("bound/met", factor, stage)
    evaluated = int(np.isfinite(shares).sum())
    tally = canvas.Tally(evaluated, evaluated)
    for sentence in _notes(data, factor, stage, shares):
        tally.say(sentence)
    radius = data.radius(factor)
    below = f"factor {factor:g}" + (f", ρ(J) = {radius}" if radius else "")
    drawn = bool(evaluated)
    return canvas.finish(
        [_cells(data, factor, stage, shares)] if drawn else [], tally, title=INFO.title,
        below=[below], height=grid_axes.height(data.grid) if drawn else 220, showlegend=False,
        nothing=_reason(data, factor, stage), **grid_axes.layout(data.grid),
    )  # fmt: skip


def _reason(data: AdjointMapData, factor: float, stage: str) -> str:
    """Why nothing was evaluated, or that it is still to come."""
    states = data.at("states", factor, stage)
    if data.at("examples", factor, stage) != 0 or not np.isfinite(states):
        return "no points yet"
    if states > MOST_STATES:
        return f"not evaluated: {states:,.0f} states"
    return "not evaluated: ∂f/∂z or ∂f/∂θ is not finite, or no trained parameter moves f"


def _notes(data: AdjointMapData, factor: float, stage: str, shares: Floats) -> Iterator[str]:
    if not np.isfinite(shares).any():
        return
    examples = int(data.at("examples", factor, stage))
    yield _takeaway(data.grid, shares, examples)
    if len(data.stages) > 1:
        yield f"at {plain(stage)}"
    allowed, middle = (data.at(f"allowed{end}", factor, stage) for end in ("", "_median"))
    simple = data.at("simple", factor, stage)
    yield (
        f"σ_min²/σ_max is {short(allowed)} in the example with the smallest, {short(middle)} in "
        f"the median; 1/κ² is {short(simple)} in the example with the smallest"
    )
    zero = int(data.at("zero", factor, stage))
    if zero:
        yield (
            f"σ_min is 0 in {counted(zero, 'example')} (fewer parameters than states, or dead "
            "units): there the condition allows no error at all"
        )
    yield from data.cautions(factor)


def _takeaway(grid: AdjointGrid, shares: Floats, examples: int) -> str:
    """The fewest steps with which it holds in every example."""
    rows = np.nonzero((shares == 1).any(axis=1))[0]
    if not len(rows):
        best = np.unravel_index(np.nanargmax(shares), shares.shape)
        share = f"{shares[best]:.0%}"
        if shares[best] == 0:
            return f"at no measured setting does it hold in any of {counted(examples, 'example')}"
        where = f"k = {grid.steps[int(best[0])]} with λ = {grid.damping[int(best[1])]:g}"
        return (
            f"at no measured setting does it hold in all {counted(examples, 'example')}; most at "
            f"{where}: {share}"
        )
    row = int(rows[0])
    columns = [f"{grid.damping[j]:g}" for j in np.nonzero(shares[row] == 1)[0]]
    return (
        f"the fewest measured steps with which it holds in all {counted(examples, 'example')} are "
        f"k = {grid.steps[row]}, with λ = {' or '.join(columns)}"
    )


def _cells(data: AdjointMapData, factor: float, stage: str, shares: Floats) -> go.Heatmap:
    simple = data.over("bound/met_simple", factor, stage)
    sides = {
        name: data.over(f"bound/{name}", factor, stage)
        for name in ("left", "left_median", "largest")
    }
    grid = data.grid
    texts, hovers = [], []
    for i, k in enumerate(grid.steps):
        texts.append([_text(shares[i, j], simple[i, j]) for j in range(shares.shape[1])])
        hovers.append([
            "<br>".join([
                hover_head(f"k = {k}, λ = {share:g}"),
                f"holds in {shares[i, j]:.0%} of the examples, its simple form in "
                f"{simple[i, j]:.0%}",
                f"‖A(I − J) − ∂f/∂θ‖ {sides['left'][i, j]:.3g} at most, median "
                f"{sides['left_median'][i, j]:.3g}",
                f"‖Bᵏ‖ {sides['largest'][i, j]:.3g} at most",
            ])
            for j, share in enumerate(grid.damping)
        ])  # fmt: skip
    return go.Heatmap(
        x=list(range(shares.shape[1])), y=list(range(shares.shape[0])),
        z=np.where(np.isfinite(shares), shares, np.nan), zmin=0, zmax=1, colorscale="Viridis",
        text=texts, texttemplate="%{text}", hovertext=hovers,
        hovertemplate="%{hovertext}<extra></extra>", hoverongaps=False, xgap=2, ygap=2, name="",
        colorbar=grid_axes.bar([0, 0.5, 1], ["0 %", "50 %", "100 %"]),
        meta={"role": "cells", "full": "share of the examples"},
    )  # fmt: skip


def _text(share: float, simple: float) -> str:
    if not np.isfinite(share):
        return ""
    return f"{100 * share:.0f} % ({100 * simple:.0f} %)"
