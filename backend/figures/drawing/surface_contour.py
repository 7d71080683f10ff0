"""The contour of a surface, with its start and its minimum, on which paths are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.surfaces import SURFACES, Function, value

CELLS = 120
FLOOR = 1e-3
"""Of the median height: below it the lines would trace the grid and not the surface."""
LINES = "rgba(128,128,128,0.55)"
SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
Range = tuple[float, float]


@dataclass(frozen=True)
class SurfaceContour:
    """A surface over the plane of its first and last coordinate."""

    function: Function
    dimension: int
    condition: float

    @property
    def title(self) -> str:
        if self.function != "quadratic":
            return self.function
        return f"quadratic in {self.dimension} dimensions, κ = {self.condition:g}"

    @property
    def axes(self) -> tuple[str, str]:
        """The titles of the two axes."""
        if self.function != "quadratic":
            return "x₀", "x₁"
        return (
            "x₀ (steepest axis)",
            f"x{str(self.dimension - 1).translate(SUBSCRIPT)} (flattest axis)",
        )

    @property
    def window(self) -> tuple[Range, Range]:
        """The region that is always shown."""
        return SURFACES[self.function].window

    def contour(self, across: Range, up: Range) -> go.Contour:
        """Lines of equal log₁₀ f, so that a valley has lines at its bottom, too."""
        x, y = np.linspace(*across, CELLS), np.linspace(*up, CELLS)
        height = np.asarray(value(self.function, x[None, :], y[:, None], self.condition))
        z = np.log10(height + FLOOR * np.median(height)).round(2)
        return go.Contour(
            z=z.tolist(), x0=x[0], dx=x[1] - x[0], y0=y[0], dy=y[1] - y[0],
            ncontours=24, contours={"coloring": "lines"}, line={"width": 0.8, "color": LINES},
            colorscale=[[0, LINES], [1, LINES]], showscale=False, showlegend=False,
            hoverinfo="skip", name="contour of log₁₀ f",
        )  # fmt: skip

    def marks(self) -> list[go.Scatter]:
        """Marks of the start and of the minimum."""
        surface = SURFACES[self.function]
        return [
            _mark("start", surface.start, "circle-open"),
            _mark("minimum", surface.minimum, "star"),
        ]


def contour_of(dataset: Mapping[str, Any]) -> SurfaceContour | None:
    """The contour for a run's data set; None if it is no surface."""
    function = dataset.get("function", "rosenbrock")
    if dataset.get("name") != "surface" or function not in SURFACES:
        return None
    return SurfaceContour(
        function, dataset.get("dimension", 2), float(dataset.get("condition", 100.0))
    )


def _mark(name: str, at: tuple[float, float], symbol: str) -> go.Scatter:
    return go.Scatter(
        x=[at[0]], y=[at[1]], name=name, mode="markers",
        marker={"symbol": symbol, "size": 13, "color": "#808080", "line": {"width": 2}},
        hovertemplate=f"{name} (%{{x:g}}, %{{y:g}})<extra></extra>",
    )  # fmt: skip
