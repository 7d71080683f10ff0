"""Time, memory and error of one gradient by every adjoint, as a table."""

import plotly.graph_objects as go

from backend.figures.data.microscope import adjoint_map
from backend.figures.data.microscope.adjoint_map import Cost
from backend.figures.data.query import Query
from backend.figures.data.source import Source
from backend.figures.drawing import canvas
from backend.figures.info import Chart, FigureInfo, Place
from estimators.statistics.adjoint_grid import nearest, solves_of
from estimators.statistics.formatting import short

INFO = FigureInfo(
    title="Time and memory of one gradient",
    help="One gradient of the network as it is, with several solvers at the network's own "
    "tolerance. Kept: what autograd holds for the backward pass, and the solver's history; on a "
    "GPU, the peak of all memory that one gradient allocates.",
    reading="Compare rows of nearly the same error: the memory of npg and ift does not depend on "
    "the number of steps, that of upg and unrolled grows with it.",
    parameters=("runs",),
    charts=(
        Chart(
            "adjoint-cost-table",
            (Place("adjoint_map", "adjoint-costs", 20),),
            follows=("adjoint_map/cost/*",),
            runs="focused",
            size="table",
        ),
    ),
)
HEAD = (
    "solver", "adjoint", "k", "λ", "error", "cosine", "ms", "of ift", "ms of the loss", "MiB kept",
)  # fmt: skip


def figure(source: Source, query: Query) -> go.Figure:
    """A row for each solver, adjoint and k, with the damping of the smallest error."""
    rows = nearest(adjoint_map.read(source, query).costs())
    tally = canvas.Tally(len(rows), len(rows))
    if rows:
        tally.say("λ: the one with the smallest error at this k")
        tally.say(
            "times: CPU time (on a GPU, wall time), medians of gradients that took turns with the "
            "loss; in brackets: their quartiles"
        )
    if marked := [row.kind for row in rows if row.numbers["not_converged"] > 0]:
        tally.say(f"✗: {solves_of(marked)} did not converge in some examples")
    columns = zip(*(_cells(row) for row in rows), strict=True)
    table = go.Table(
        header={"values": list(HEAD), "align": "left", "fill": {"color": canvas.CLEAR}},
        cells={"values": [[*column] for column in columns], "align": "left",
               "fill": {"color": canvas.CLEAR}, "height": 24},
        name=INFO.title, columnwidth=[1.4, 1.2, 0.6, 0.7, 1.2, 1, 1.6, 1.6, 1.6, 1.2],
    )  # fmt: skip
    return canvas.finish(
        [table] if rows else [], tally, title=INFO.title, showlegend=False,
        height=120 + 26 * max(2, len(rows)),
    )  # fmt: skip


def _cells(row: Cost) -> list[str]:
    numbers = row.numbers
    kept = (numbers["saved"] + numbers["history"]) / 2**20
    return [
        row.solver, row.kind, "" if row.steps is None else str(row.steps),
        "" if row.damping is None else f"{row.damping:g}",
        short(numbers["relative_error"]) + (" ✗" if numbers["not_converged"] > 0 else ""),
        short(numbers["cosine"]), row.spread("seconds", 1000), row.spread("ratio"),
        row.spread("forward_seconds", 1000), f"{kept:.3g}",
    ]  # fmt: skip
