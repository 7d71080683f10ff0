"""Marks at the edge of a plot for values that are not finite or beyond its range."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from backend.figures.data.source import Floats
from backend.figures.data.tally import Tally
from backend.figures.drawing.text import hover_head, hover_mark
from estimators.statistics.formatting import counted

BAD = "#D55E00"
AXIS = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
"""The axis of the marks at the edge."""
FEW = 2
"""Most sentences on runs that leave the range."""
MARKS = 20
"""Most marks of one line beyond the range."""
_SYMBOLS = {"NaN": "x", "+∞": "triangle-up", "−∞": "triangle-down"}


def not_finite(
    x: Floats, values: Floats, name: str, colour: str, at: str, first: bool = True
) -> list[Any]:
    """Markers where a value is NaN or infinite: below for NaN and −∞."""
    odd = ~np.isfinite(values)
    if not odd.any():
        return []
    words = [_word(v) for v in values[odd].tolist()]
    return [
        _marks(
            x[odd], [0.97 if word == "+∞" else 0.03 for word in words],
            [f"{hover_head(name)}<br>{word}" for word in words], "NaN or infinite", at, first,
            {"symbol": [_SYMBOLS[w] for w in words], "size": 11, "color": colour,
             "line": {"color": BAD, "width": 2}},
        )
    ]  # fmt: skip


def beyond(
    x: Floats,
    values: Floats,
    span: tuple[float, float],
    name: str,
    colour: str,
    at: str,
    first: bool = True,
) -> list[Any]:
    """A triangle at an edge for each stretch beyond the range, saying how far it goes."""
    finite = np.isfinite(values)
    above, below = finite & (values > span[1]), finite & (values < span[0])
    stretches = [
        *((start, peak, True) for start, peak in _stretches(values, above)),
        *((start, -peak, False) for start, peak in _stretches(-values, below)),
    ]
    if not stretches:
        return []
    words = [
        f"{hover_head(name)}<br>"
        + (f"above the range, up to {peak:.4g}" if up else f"below the range, down to {peak:.4g}")
        for _, peak, up in stretches
    ]
    marker = {
        "symbol": ["triangle-up" if up else "triangle-down" for *_, up in stretches],
        "size": 11,
        "color": colour,
    }
    places = [0.97 if up else 0.03 for *_, up in stretches]
    where = x[[start for start, *_ in stretches]]
    drawn = _marks(where, places, words, "beyond the range", at, first, marker)
    # A table of the figure's numbers reads these, not the place at the edge.
    return [drawn.update(customdata=[float(peak) for _, peak, _ in stretches])]


def say_beyond(
    tally: Tally,
    curves: Iterable[tuple[int | None, Floats]],
    span: tuple[float, float] | None,
) -> None:
    """Say which runs leave the shown range, and how far: of many, how many do."""
    if not span:
        return
    low, high = span
    beyond: dict[tuple[int | None, str], float] = {}
    for number, values in curves:
        finite = values[np.isfinite(values)]
        largest, least = float(finite.max(initial=high)), float(finite.min(initial=low))
        if largest > high:
            beyond[number, "up"] = max(largest, beyond.get((number, "up"), high))
        if least < low:
            beyond[number, "down"] = min(least, beyond.get((number, "down"), low))
    sentences = [
        f"run #{run} leaves the range: {way} to {v:.3g}" for (run, way), v in beyond.items()
    ]
    if len(sentences) > FEW:
        runs = len({run for run, _ in beyond})
        tally.say(f"{counted(runs, 'run')} leave the range, marked at its edge")
        for sentence in sentences:
            tally.add_details(sentence)
        return
    for sentence in sentences:
        tally.say(sentence)


def _stretches(values: Floats, high: NDArray[np.bool_]) -> list[tuple[int, float]]:
    """(start, largest value) of the unbroken stretches, at most MARKS of them."""
    starts = np.flatnonzero(high & ~np.concatenate([[False], high[:-1]]))
    if not len(starts):
        return []
    kept = np.unique(np.linspace(0, len(starts) - 1, min(MARKS, len(starts))).round().astype(int))
    peaks = [np.max(part[mask], initial=-np.inf)
             for part, mask in zip(np.split(values, starts)[1:], np.split(high, starts)[1:],
                                   strict=True)]  # fmt: skip
    return [(int(starts[k]), float(peaks[k])) for k in kept]


def _marks(
    x: Floats,
    y: list[float],
    words: list[str],
    group: str,
    at: str,
    first: bool,
    marker: dict[str, Any],
) -> go.Scatter:
    return go.Scatter(
        x=x.tolist(), y=y, yaxis="y2", mode="markers", name=group, showlegend=first,
        legendgroup=group, text=words, cliponaxis=False, marker=marker,
        hovertemplate=hover_mark(at), meta={"role": group},
    )  # fmt: skip


def _word(value: float) -> str:
    return "NaN" if value != value else "+∞" if value > 0 else "−∞"
