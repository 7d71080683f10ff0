"""`picture`: a drawn figure as a small SVG, where no browser is at hand to draw it.

Cards of the gallery and its report need pictures that stand in a text. The picture has the lines,
marks, bars, whiskers and coloured cells of the figure, the ends of its axes, and the names of its
lines; not its hover texts, legends of marks or annotations.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from backend.figures.picture_axes import (
    PictureAxis,
    axis_of,
    number_of,
    positions,
    values_of,
)

INK = "#767676"
"""Readable on white and on black: a picture in a text does not follow the page's theme."""
DEFAULT = "#1f77b4"
MOST = 200
"""Points of a line that are drawn."""
FEW, MANY = 6, 24
"""Texts along the horizontal and the vertical axis; of more, the first and the last are shown."""
LONGEST = 30
"""Characters of a text of an axis."""
RAISED = str.maketrans("0123456789-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")
MARKED = 40
"""Points that have a mark each; more of them would hide the line."""
NAMES = 14
"""Names of lines that are written below."""
GREYS = [(0.0, "#f0f0f0"), (1.0, "#08306b")]
"""The colours of cells that name no colours themselves."""

Numbers = Sequence[float | None]


def picture(
    drawn: Mapping[str, Any], *, width: int = 320, height: int = 180, named: bool = False
) -> str:
    """An SVG of a figure.

    Args:
        drawn: the answer of `backend.figures.draw`.
        width: in pixels.
        height: of the plot, in pixels; with names the picture is higher.
        named: with the ends of the axes, their titles, and the names of the lines.
    """
    data, layout = drawn["figure"]["data"], drawn["figure"]["layout"]
    shown = [trace for trace in data if trace.get("visible") is not False and _is_drawn(trace)]
    names = _names(shown) if named else []
    parts: list[str] = []
    for place in dict.fromkeys((t.get("xaxis", "x"), t.get("yaxis", "y")) for t in shown):
        own = [t for t in shown if (t.get("xaxis", "x"), t.get("yaxis", "y")) == place]
        parts += _plot(own, layout, place, width, height, named)
    below = height
    for name, colour in names:
        below += 16
        parts.append(f'<rect x="8" y="{below - 9}" width="12" height="4" fill="{colour}"/>')
        parts.append(_text(26, below - 3, name, "start"))
    whole = below + 8 if names else height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" width="{width}" '
        f'height="{whole}" font-family="sans-serif" font-size="10">{"".join(parts)}</svg>\n'
    )


def _is_drawn(trace: Mapping[str, Any]) -> bool:
    return trace.get("type", "scatter") in ("scatter", "scattergl", "bar", "heatmap")


def _names(traces: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(name, colour) of the lines that a legend would have."""
    found: dict[str, str] = {}
    for trace in traces:
        name = str(trace.get("name") or "")
        if name and trace.get("showlegend") is not False and trace.get("type") != "heatmap":
            found.setdefault(name, _colour(trace))
    return [*found.items()][:NAMES]


def _plot(
    traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], place: tuple[str, str],
    width: int, height: int, named: bool,
) -> Iterator[str]:  # fmt: skip
    """One pair of axes with its traces."""
    across, up = (layout.get(f"{p[0]}axis{p[1:]}", {}) for p in place)
    left, right, top, bottom = (_left(traces, up), 8, 8, 34) if named else (4, 4, 4, 4)
    x_domain, y_domain = across.get("domain", (0, 1)), up.get("domain", (0, 1))
    room = width - left - right, height - top - bottom
    x = axis_of(traces, "x", across, left + room[0] * x_domain[0], left + room[0] * x_domain[1])
    y = axis_of(
        traces, "y", up, top + room[1] * (1 - y_domain[0]), top + room[1] * (1 - y_domain[1])
    )
    yield (
        f'<path d="M{x.start:.1f},{y.end:.1f}V{y.start:.1f}H{x.end:.1f}" fill="none" '
        f'stroke="{INK}" stroke-opacity="0.6"/>'
    )
    for trace in traces:
        yield from _drawn(trace, x, y)
    if named:
        yield from _ends(x, y, across, up)


def _left(traces: Sequence[Mapping[str, Any]], up: Mapping[str, Any]) -> float:
    """Room for the title and the texts of the vertical axis."""
    texts = [text for _, text in axis_of(traces, "y", up, 0, 1).ticks]
    return 26 + 5.5 * max((len(_clipped(_line(text))) for text in texts), default=4)


def _drawn(trace: Mapping[str, Any], x: PictureAxis, y: PictureAxis) -> Iterator[str]:
    if trace.get("type") == "heatmap":
        yield from _cells(trace, x, y)
        return
    colour = _colour(trace)
    places = [
        (x.at(across), y.at(up), at)
        for at, (across, up) in enumerate(
            zip(values_of(trace, "x"), values_of(trace, "y"), strict=False)
        )
        if across is not None and up is not None
    ]
    points = [p for p in places if math.isfinite(p[0]) and math.isfinite(p[1])]
    if trace.get("type") == "bar":
        zero = y.at(0.0)
        for across, up, _ in points:
            top, bottom = sorted((up, zero))
            yield (
                f'<rect x="{across - 4:.1f}" y="{top:.1f}" width="8" height="{bottom - top:.1f}" '
                f'fill="{colour}"/>'
            )
        return
    yield from _whiskers(trace, points, x, y, colour)
    mode = str(trace.get("mode") or "lines")
    if "lines" in mode:
        stroke = trace.get("line") or {}
        dash = ' stroke-dasharray="4 3"' if stroke.get("dash") not in (None, "solid") else ""
        for piece in _pieces(points):
            few = piece[:: max(1, len(piece) // MOST)]
            path = "L".join(f"{across:.1f},{up:.1f}" for across, up, _ in few)
            yield (
                f'<path d="M{path}" fill="none" stroke="{colour}" '
                f'stroke-width="{min(float(stroke.get("width") or 1.5), 3.0):g}"{dash}/>'
            )
    if "markers" in mode and len(points) <= MARKED:
        for across, up, _ in points:
            yield f'<circle cx="{across:.1f}" cy="{up:.1f}" r="2.4" fill="{colour}"/>'


def _pieces(
    points: Sequence[tuple[float, float, int]],
) -> Iterator[Sequence[tuple[float, float, int]]]:
    """The points between gaps, where a value is missing or cannot be shown."""
    start = 0
    for at in range(1, len(points) + 1):
        if at == len(points) or points[at][2] != points[at - 1][2] + 1:
            yield points[start:at]
            start = at


def _whiskers(
    trace: Mapping[str, Any],
    points: Sequence[tuple[float, float, int]],
    x: PictureAxis,
    y: PictureAxis,
    colour: str,
) -> Iterator[str]:
    for name, axis in (("error_y", y), ("error_x", x)):
        bars = trace.get(name) or {}
        above = bars.get("array")
        if above is None or bars.get("visible") is False:
            continue
        below = bars.get("arrayminus") or above
        values = values_of(trace, name[-1])
        for across, up, at in points:
            value, plus, minus = values[at], number_of(above[at]), number_of(below[at])
            if value is None or plus is None or minus is None:
                continue
            ends = axis.at(value - minus), axis.at(value + plus)
            if not all(map(math.isfinite, ends)):
                continue
            line = (
                f"M{across:.1f},{ends[0]:.1f}V{ends[1]:.1f}"
                if axis is y
                else f"M{ends[0]:.1f},{up:.1f}H{ends[1]:.1f}"
            )
            yield f'<path d="{line}" stroke="{colour}" stroke-width="1.2"/>'


def _cells(trace: Mapping[str, Any], x: PictureAxis, y: PictureAxis) -> Iterator[str]:
    rows = trace.get("z") or []
    numbers = [n for row in rows for n in map(number_of, row) if n is not None]
    if not numbers:
        return
    low = number_of(trace.get("zmin"))
    high = number_of(trace.get("zmax"))
    low, high = min(numbers) if low is None else low, max(numbers) if high is None else high
    scale = _stops(trace.get("colorscale"))
    columns = positions(trace, "x", max(map(len, rows)))
    lines = positions(trace, "y", len(rows))
    halves = [0.5 * (p[1] - p[0]) if len(p) > 1 else 0.5 for p in (columns, lines)]
    for line, row in zip(lines, rows, strict=True):
        for column, value in zip(columns, row, strict=False):
            if (number := number_of(value)) is None:
                continue
            ends = sorted((x.at(column - halves[0]), x.at(column + halves[0])))
            tops = sorted((y.at(line - halves[1]), y.at(line + halves[1])))
            fill = _mixed(scale, (number - low) / ((high - low) or 1.0))
            yield (
                f'<rect x="{ends[0]:.1f}" y="{tops[0]:.1f}" width="{ends[1] - ends[0]:.1f}" '
                f'height="{tops[1] - tops[0]:.1f}" fill="{fill}"/>'
            )


def _stops(scale: Any) -> list[tuple[float, str]]:
    if isinstance(scale, list | tuple):
        stops = [(float(at), str(colour)) for at, colour in scale]
        if all(_rgb(colour) for _, colour in stops):
            return stops
    return GREYS


def _mixed(stops: Sequence[tuple[float, str]], share: float) -> str:
    share = min(max(share, 0.0), 1.0)
    after = next((at for at, stop in enumerate(stops) if stop[0] >= share), len(stops) - 1)
    first, second = stops[max(0, after - 1)], stops[after]
    part = (share - first[0]) / ((second[0] - first[0]) or 1.0)
    mixed = [
        round(a + min(max(part, 0.0), 1.0) * (b - a))
        for a, b in zip(_rgb(first[1]), _rgb(second[1]), strict=True)
    ]
    return f"rgb({','.join(map(str, mixed))})"


def _rgb(colour: str) -> tuple[float, ...]:
    """The parts of `#rrggbb` or `rgb(…)`; empty for another notation."""
    if colour.startswith("#") and len(colour) == 7:
        return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    if colour.startswith("rgb("):
        return tuple(float(part) for part in colour[4:-1].split(","))
    return ()


def _colour(trace: Mapping[str, Any]) -> str:
    for part in ("line", "marker"):
        colour = (trace.get(part) or {}).get("color")
        if isinstance(colour, str):
            return escape(colour, quote=True)
    return DEFAULT


def _ends(
    x: PictureAxis, y: PictureAxis, across: Mapping[str, Any], up: Mapping[str, Any]
) -> Iterator[str]:
    titles = [((axis.get("title") or {}).get("text") or "") for axis in (across, up)]
    if across.get("showticklabels") is not False and across.get("visible") is not False:
        few = x.ticks if len(x.ticks) <= FEW else (x.ticks[0], x.ticks[-1])
        for value, text in few:
            place = x.at(value)
            anchor = "start" if place < x.start + 8 else "end" if place > x.end - 8 else "middle"
            yield _text(place, y.start + 12, _clipped(_line(text)), anchor)
        yield _text((x.start + x.end) / 2, y.start + 26, _line(titles[0]), "middle")
    if up.get("showticklabels") is not False and up.get("visible") is not False:
        few = y.ticks if len(y.ticks) <= MANY else (y.ticks[0], y.ticks[-1])
        for value, text in few:
            yield _text(x.start - 4, y.at(value) + 3, _clipped(_line(text)), "end")
    middle = (y.start + y.end) / 2
    yield (
        f'<g transform="rotate(-90 10 {middle:.1f})">'
        f"{_text(10, middle, _line(titles[1]), 'middle')}</g>"
    )


def _line(title: str) -> str:
    """The first line of a title, without marks of HTML."""
    first = re.sub(
        r"<sup>(.*?)</sup>",
        lambda power: power[1].translate(RAISED),
        title.partition("<br>")[0],
    )
    while (start := first.find("<")) >= 0 and (end := first.find(">", start)) >= 0:
        first = first[:start] + first[end + 1 :]
    return first


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    # plotly's texts have their entities already.
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{escape(plain)}</text>'
    )
