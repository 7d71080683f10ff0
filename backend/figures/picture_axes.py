"""The axes of a small picture: which numbers they show, where, and with which ticks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PictureAxis:
    """Where an axis lies, and which numbers it shows."""

    start: float
    end: float
    """Pixels of its two ends."""
    low: float
    high: float
    is_log: bool
    ticks: tuple[tuple[float, str], ...]
    """Values and their texts."""

    def at(self, value: float) -> float:
        """The pixel of a value; NaN for one that the axis cannot show."""
        if self.is_log:
            value = math.log10(value) if value > 0 else math.nan
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + min(max(share, -0.02), 1.02) * (self.end - self.start)


def axis_of(
    traces: Sequence[Mapping[str, Any]], name: str, axis: Mapping[str, Any], start: float,
    end: float,
) -> PictureAxis:  # fmt: skip
    is_log = axis.get("type") == "log"
    if axis.get("range") is not None:
        low, high = map(float, axis["range"])
    else:
        low, high = _extent(traces, name, is_log)
    ends = [10**limit if is_log else limit for limit in (low, high)]
    return PictureAxis(start, end, low, high, is_log, tuple(_ticks(traces, name, axis, ends)))


def _ticks(
    traces: Sequence[Mapping[str, Any]], name: str, axis: Mapping[str, Any], ends: Sequence[float]
) -> Iterator[tuple[float, str]]:
    """The axis's own ticks, else the words that it shows, else its two ends."""
    own = [
        (float(value), str(text))
        for value, text in zip(axis.get("tickvals") or (), axis.get("ticktext") or (), strict=False)
        if isinstance(value, int | float) and min(ends) <= value <= max(ends)
    ]
    words = dict.fromkeys(
        value for trace in traces for value in trace.get(name) or () if isinstance(value, str)
    )
    named: dict[Any, Any] = dict(
        zip(axis.get("tickvals") or (), axis.get("ticktext") or (), strict=False)
    )
    ticks = own or [(float(at), str(named.get(word, word))) for at, word in enumerate(words)]
    yield from ticks or ((value, f"{value:.4g}") for value in _round(ends, axis.get("type")))


def _round(ends: Sequence[float], kind: object) -> list[float]:
    """A few round numbers between the ends of an axis."""
    low, high = min(ends), max(ends)
    if kind == "log":
        decades = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        if len(decades) > 1:
            return [10.0**power for power in decades[:: -(-len(decades) // 4)]]
    step = 10 ** math.floor(math.log10((high - low) / 2 or 1.0))
    step *= next((m for m in (1, 2, 5) if (high - low) / (m * step) <= 5), 10)
    first = math.ceil(low / step)
    return [at * step for at in range(first, math.floor(high / step) + 1)]


def _extent(traces: Sequence[Mapping[str, Any]], name: str, is_log: bool) -> tuple[float, float]:
    values = [value for trace in traces for value in _reach(trace, name)]
    if is_log:
        values = [math.log10(value) for value in values if value > 0]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _reach(trace: Mapping[str, Any], name: str) -> Iterator[float]:
    """The numbers that an axis has to show of a trace."""
    if trace.get("type") == "heatmap":
        rows = trace.get("z") or []
        count = len(rows) if name == "y" else max(map(len, rows), default=0)
        places = positions(trace, name, count)
        half = 0.5 * (places[1] - places[0]) if count > 1 else 0.5
        yield from (place + side * half for place in places for side in (-1, 1))
        return
    values = values_of(trace, name)
    yield from (value for value in values if value is not None)
    bars = trace.get(f"error_{name}") or {}
    above = bars.get("array") or ()
    below = bars.get("arrayminus") or above
    for value, plus, minus in zip(values, above, below, strict=False):
        ends = number_of(plus), number_of(minus)
        if value is not None and ends[0] is not None and ends[1] is not None:
            yield from (value + ends[0], value - ends[1])
    if trace.get("type") == "bar":
        yield 0.0


def positions(trace: Mapping[str, Any], name: str, count: int) -> list[float]:
    """The centres of a heatmap's columns or rows; places 0, 1, … where they are named by words."""
    values = trace.get(name) or []
    if len(values) == count and all(isinstance(value, int | float) for value in values):
        return [float(value) for value in values]
    return [float(at) for at in range(count)]


def values_of(trace: Mapping[str, Any], name: str) -> list[float | None]:
    """Numbers of a trace; where they are words, their places 0, 1, …"""
    values = trace.get(name) or []
    if any(isinstance(value, str) for value in values):
        places = {value: at for at, value in enumerate(dict.fromkeys(values))}
        return [float(places[value]) for value in values]
    return [number_of(value) for value in values]


def number_of(value: Any) -> float | None:
    usable = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if usable else None
