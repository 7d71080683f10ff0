"""Contours of a cloud of points: the smallest regions that hold given shares of them."""

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.source import Floats
from backend.figures.drawing.canvas import numbers

CELLS = 48
MIN_POINTS = 32
"""Fewest points whose density is worth a line."""
WORDS = "rings hold 50, 65, 80 and 95 % of the draws"


def contours(x: Floats, y: Floats) -> list[go.Contour]:
    """Rings around the densest half, 65, 80 and 95 %; none for few points or for a line."""
    if len(x) < MIN_POINTS or min(reach(x), reach(y)) <= 0:
        return []
    (ax, wx), (ay, wy) = _grid(x), _grid(y)
    # A Gaussian kernel is a product: the density on the grid is one matrix product.
    kernel = [
        np.exp(-0.5 * ((at[:, None] - v) / w) ** 2) for at, v, w in ((ax, x, wx), (ay, y, wy))
    ]
    heights = kernel[1] @ kernel[0].T
    order = np.argsort(heights, axis=None)[::-1]
    shares = np.empty(heights.size)
    shares[order] = np.cumsum(heights.ravel()[order]) / heights.sum()
    return [
        go.Contour(
            x=ax.tolist(), y=ay.tolist(), z=[numbers(row) for row in shares.reshape(heights.shape)],
            contours={"start": 0.5, "end": 0.95, "size": 0.15, "coloring": "none"},
            line={"color": "rgba(128,128,128,0.9)", "width": 1.2, "smoothing": 0.8},
            showscale=False, hoverinfo="skip", name="density", showlegend=False,
        )
    ]  # fmt: skip


def reach(values: Floats) -> float:
    """The range of the values; 0 where it is within the rounding of numbers around 1."""
    wide = float(np.ptp(values))
    return wide if wide > 1e-9 * max(1.0, float(np.abs(values).max())) else 0.0


def _grid(values: Floats) -> tuple[Floats, float]:
    """Cells along one axis, and Silverman's width of the kernel on it."""
    quarter = float(np.subtract(*np.quantile(values, [0.75, 0.25]))) / 1.34
    # Of heavy tails a narrow kernel would make an island around every far draw.
    spread = min(float(values.std()), 2 * quarter) or float(values.std())
    width = 0.9 * spread * len(values) ** (-1 / 6)
    low, high = np.quantile(values, [0.002, 0.998])
    return np.linspace(low - 3 * width, high + 3 * width, CELLS), width
