"""Time of one gradient against its error: which adjoint is fastest at equal accuracy."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.microscope import adjoint_map
from backend.figures.data.microscope.adjoint_map import Cost
from backend.figures.data.query import Query
from backend.figures.data.source import Source
from backend.figures.drawing import canvas, style
from backend.figures.drawing.text import hover_head
from backend.figures.info import Chart, FigureInfo, Place
from estimators.statistics.adjoint_grid import SOLVE_OF, nearest
from estimators.statistics.formatting import counted

INFO = FigureInfo(
    title="Time against error",
    help="One gradient of the network as it is, by every adjoint and with several solvers at the "
    "network's own tolerance. Horizontal: its time, forward solve included, divided by the time of "
    "the exact adjoint (ift) with the same solver. Vertical: its relative error, on a log axis. A "
    "line follows the number of steps k; at each k the damping with the smallest error is taken.",
    reading="At one height all adjoints are equally accurate: the leftmost is the fastest.",
    parameters=("runs",),
    charts=(
        Chart(
            "adjoint-costs",
            (Place("adjoint_map", "adjoint-costs", 10),),
            follows=("adjoint_map/cost/*",),
            runs="focused",
        ),
    ),
)
DASHES = {"anderson": "solid", "broyden": "dash", "fixed_point": "dot"}
SYMBOLS = {"anderson": "circle", "broyden": "diamond", "fixed_point": "square"}
EQUAL = 0.1
"""The relative error at which the note compares times."""


def figure(source: Source, query: Query) -> go.Figure:
    """A line for each phantom adjoint and solver; one point for the others."""
    rows = nearest(adjoint_map.read(source, query).costs())
    rows = [row for row in rows if np.isfinite(row.numbers["ratio"])]
    drawn = [row for row in rows if row.relative_error > 0]
    tally = canvas.Tally(len(drawn), len(rows), "those with an error above 0")
    for sentence in _notes(drawn):
        tally.say(sentence)
    by_line = sorted(drawn, key=lambda row: (row.solver, row.kind, row.steps or 0))
    traces = [_line([*group]) for _, group in groupby(by_line, lambda row: (row.solver, row.kind))]
    return canvas.finish(
        traces, tally, title=INFO.title, height=480,
        xaxis=canvas.axis("time ÷ that of ift, same solver",
                          rangemode="tozero", nticks=6),
        yaxis=canvas.axis("relative error ‖ĝ − g‖ / ‖g‖", type="log", exponentformat="power",
                          dtick=1, tickangle=0),
    )  # fmt: skip


def _line(rows: Sequence[Cost]) -> Any:
    first = rows[0]
    ratios = {end: [row.numbers[f"ratio{end}"] for row in rows] for end in ("", "_low", "_high")}
    colour = style.ADJOINTS[first.kind]
    name = first.kind if first.kind == "unrolled" else f"{first.kind}, {first.solver}"
    return go.Scatter(
        x=ratios[""], y=[row.relative_error for row in rows],
        mode="lines+markers" if len(rows) > 1 else "markers", name=name,
        text=[_hover(row) for row in rows], hovertemplate="%{text}<extra></extra>",
        error_x={
            "type": "data", "symmetric": False, "thickness": 1, "width": 0,
            "array": [high - x for high, x in zip(ratios["_high"], ratios[""], strict=True)],
            "arrayminus": [x - low for low, x in zip(ratios["_low"], ratios[""], strict=True)],
        },
        line={"color": colour, "dash": DASHES[first.solver], "width": 2},
        marker={"color": colour, "symbol": SYMBOLS[first.solver], "size": 9},
        meta={"role": "costs", "solver": first.solver, "adjoint": first.kind},
    )  # fmt: skip


def _hover(row: Cost) -> str:
    numbers = row.numbers
    lines = [
        hover_head(f"{row.name}, {row.solver}"),
        f"{row.spread('ratio')} of the time of ift; {row.spread('seconds', 1000)} ms; the loss "
        f"alone {row.spread('forward_seconds', 1000)} ms (brackets: quartiles)",
        f"relative error {numbers['relative_error']:.3g}, cosine {numbers['cosine']:.4g}",
        f"{(numbers['saved'] + numbers['history']) / 2**20:.3g} MiB kept, of them "
        f"{numbers['history'] / 2**20:.3g} by the solver",
    ]
    if numbers["not_converged"] > 0:
        count = counted(int(numbers["not_converged"]), "example")
        lines.append(f"the {SOLVE_OF[row.kind]} did not converge in {count}")
    return "<br>".join(lines).replace("-", "−")


def _notes(rows: Sequence[Cost]) -> Iterator[str]:
    if not rows:
        return
    exact = {row.solver: row for row in rows if row.kind == "ift"}
    for solver, ift in exact.items():
        good = [
            row
            for row in rows
            if row.solver == solver and row.relative_error <= EQUAL and row.kind != "ift"
        ]
        if not good:
            yield f"{solver}: no other adjoint than ift has an error of at most {EQUAL:g}"
            continue
        fewest = min(good, key=lambda row: (row.steps or 0, row.kind))
        times = f"{fewest.spread('seconds', 1000)} ms beside {ift.spread('seconds', 1000)} ms"
        if fewest.times_differ(ift):
            verdict = f"in {fewest.numbers['ratio']:.2g} of the time of ift ({times})"
        else:
            verdict = f"faster or slower than ift is not decided by these timings ({times})"
        yield (
            f"{solver}: the fewest steps with an error of at most {EQUAL:g} are {fewest.name} "
            f"({fewest.relative_error:.2g}), {verdict}"
        )
    yield (
        "time: CPU time (on a GPU, wall time), median with quartiles in brackets; horizontal: "
        "median of the ratios of gradients that took turns, bars from the lower to the upper "
        "quartile. Where the quartiles of two times overlap, nothing is decided"
    )
    if any(row.kind == "unrolled" for row in rows):
        yield "unrolled is an iteration of its own; its time is beside ift with the first solver"
