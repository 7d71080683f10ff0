"""Make the picture that explains the solvers of an equilibrium, from a cell of one unit.

`python -m docs.implicit_picture` writes `docs/images/implicit-solvers.png`. Every point is computed
from the cell f(z) = tanh(w z + x) and the signal s = 1, by the plain or the damped iteration.
"""

from collections.abc import Callable
from itertools import pairwise
from math import tanh
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from docs.pictures import screenshot

PATH = Path(__file__).parent / "images" / "implicit-solvers.png"
WEIGHT, INPUT, SIGNAL = 1.2, 0.05, 1.0
STEPS, MANY_STEPS = 9, 1000
COLOURS = {1.0: "#0072b2", 0.5: "#d55e00"}
"""Of each damping."""
GREY, GREEN = "#6b7280", "#009e73"
TITLES = (
    "Forward solver: a <b>state</b> with z = f(z)",
    "Backward solver: a <b>signal</b> with u = Jᵀu + s",
    "Phantom gradient: k of its steps",
)
Map = Callable[[float], float]


def iterates(function: Map, start: float, steps: int, damping: float = 1.0) -> list[float]:
    """The start and the iterates z ← (1 − λ) z + λ F(z)."""
    values = [start]
    for _ in range(steps):
        values.append((1 - damping) * values[-1] + damping * function(values[-1]))
    return values


def staircase(values: list[float]) -> tuple[list[float], list[float]]:
    """The path of a plain iteration between the curve of F and the diagonal."""
    across, up = [values[0]], [0.0]
    for value, following in pairwise(values):
        across += [value, following]
        up += [following, following]
    return across, up


def figure() -> go.Figure:
    """The three panels."""
    state = iterates(_cell, 0.0, MANY_STEPS)[-1]
    slope = WEIGHT * (1 - state**2)

    def backward(signal: float) -> float:
        return slope * signal + SIGNAL

    exact = SIGNAL / (1 - slope)
    panels = make_subplots(1, 3, subplot_titles=TITLES, horizontal_spacing=0.075)
    _iteration(panels, 1, _cell, 1.0, state, "f(z)", "z*")
    _iteration(panels, 2, backward, 1.15 * exact, exact, "Jᵀu + s", "u = (I − J)⁻ᵀ s")
    steps = [*range(STEPS + 1)]
    for damping, colour in COLOURS.items():
        line = go.Scatter(
            x=steps, y=iterates(backward, 0.0, STEPS, damping), mode="lines+markers",
            name=f"λ = {damping:g}", line_color=colour,
        )  # fmt: skip
        panels.add_trace(line, 1, 3)
    panels.add_hline(exact, line={"dash": "dot", "color": GREEN}, row=1, col=3)  # type: ignore[arg-type]
    panels.add_annotation(
        x=STEPS, y=exact, text="exact (IFT)", yshift=10, xanchor="right", showarrow=False,
        font_color=GREEN, row=1, col=3,
    )  # fmt: skip
    panels.add_annotation(
        x=1, y=SIGNAL, text="Jacobian-free (JFB)", ax=70, ay=14, xanchor="left",
        row=1, col=3,
    )  # fmt: skip
    for column, (across, up) in enumerate(
        (("state z", "next state"), ("signal u", "next signal"), ("steps k", "signal u")), start=1
    ):
        panels.update_xaxes(title_text=across, row=1, col=column)
        panels.update_yaxes(title_text=up, rangemode="tozero", row=1, col=column)
    return panels.update_layout(
        template="plotly_white", width=1180, height=360,
        legend={"x": 0.99, "y": 0.02, "xanchor": "right"},
        margin={"t": 40, "b": 50, "l": 60, "r": 20},
    )  # fmt: skip


def _cell(z: float) -> float:
    return tanh(WEIGHT * z + INPUT)


def _iteration(
    panels: go.Figure, column: int, function: Map, end: float, solution: float, word: str, name: str
) -> None:
    """The curve of F, the diagonal, the iteration from zero and the solution."""
    grid = [end * i / 100 for i in range(101)]
    curves = (
        (grid, [function(z) for z in grid], {"color": COLOURS[1.0], "width": 3}),
        ([0, end], [0, end], {"color": GREY, "dash": "dash"}),
        (*staircase(iterates(function, 0.0, STEPS)), {"color": GREY, "width": 1.5}),
    )
    for across, up, line in curves:
        trace = go.Scatter(x=across, y=up, mode="lines", line=line, showlegend=False)
        panels.add_trace(trace, 1, column)
    marker = go.Scatter(
        x=[solution], y=[solution], mode="markers", marker={"size": 11, "color": GREEN},
        showlegend=False,
    )  # fmt: skip
    panels.add_trace(marker, 1, column)
    panels.add_annotation(
        x=solution, y=solution, text=name, ax=-55, ay=-22, font_color=GREEN, row=1, col=column
    )
    panels.add_annotation(
        x=0.35 * end, y=function(0.35 * end), text=word, ax=-25, ay=-30,
        font_color=COLOURS[1.0], row=1, col=column,
    )  # fmt: skip


if __name__ == "__main__":
    screenshot(figure(), PATH)
