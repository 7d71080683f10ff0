"""The axes of a map over (k, λ): a row for each k, the fewest steps at the bottom."""

from collections.abc import Sequence
from typing import Any

from backend.figures.drawing import canvas
from estimators.statistics.adjoint_grid import AdjointGrid

ROW = 40
"""Pixels of a row."""


def height(grid: AdjointGrid) -> int:
    """The height of the figure, in pixels."""
    return max(300, 190 + ROW * len(grid.steps))


def layout(grid: AdjointGrid) -> dict[str, Any]:
    """Both axes, with the settings as ticks at whole numbers.

    A chart's table reads k and λ from the ticks, so that they are not rounded to few digits.
    """
    shared = {"showgrid": False, "fixedrange": True, "ticks": "", "tickmode": "array"}
    columns, rows = len(grid.damping), len(grid.steps)
    return {
        "xaxis": canvas.axis(
            "damping λ", tickvals=list(range(columns)),
            ticktext=[f"{share:.12g}" for share in grid.damping], range=[-0.5, columns - 0.5],
            **shared,
        ),
        "yaxis": canvas.axis(
            "steps k", tickvals=list(range(rows)), ticktext=[str(k) for k in grid.steps],
            range=[-0.5, rows - 0.5], **shared,
        ),
    }  # fmt: skip


def bar(ticks: Sequence[float], texts: Sequence[str] | None = None) -> dict[str, Any]:
    """The colour bar, below the axis so that a phone keeps its width."""
    words = texts or [f"{tick:.3g}".replace("-", "−") for tick in ticks]
    return {
        "thickness": 10, "orientation": "h", "x": 0.5, "xanchor": "center", "yref": "container",
        "y": 0, "yanchor": "bottom", "len": 0.9, "outlinewidth": 0,
        "tickvals": list(ticks), "ticktext": list(words),
    }  # fmt: skip
