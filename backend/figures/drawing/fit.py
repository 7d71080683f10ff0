"""The vertical axis of lines that share a chart, so that no line hides another.

Small measures beside large ones get an asinh axis. A run that dwarfs all others, or explodes,
leaves the range and is marked at the edge. The kind of the axis is the reader's choice; without one
it does not change when a run is added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.figures.data.metrics import Scaling
from backend.figures.data.source import Floats
from backend.figures.drawing.scales import Scale, choose

CROWDED = 30.0
"""How many times its median a line's axis may span before the line is lost in it."""
DWARFS = 10.0
"""How many times the other runs' 99 % quantile a run's largest value must be to leave the range."""
EXPLODES = 1000.0
"""How many times its first value a loss must reach to leave the range."""
ASINH = "asinh axis"
NOT_LOG = "a log axis has no place for values that are not positive"
NOT_RUNS = "an asinh axis is for measures: what grows with every step has none"


@dataclass(frozen=True)
class Fit:
    """A scale, the range to show where it is not the whole one, and a note for the reader."""

    scale: Scale
    span: tuple[float, float] | None = None
    note: str = ""

    def axis(self) -> dict[str, Any]:
        """The axis that shows it; zooming out still reaches what the range leaves out."""
        shown = {"range": list(self.span)} if self.span else {}
        return {**self.scale.axis(), **shown}


def measures(
    scaling: Scaling, asked: str, lines: Sequence[Floats], first: Sequence[Floats] | None = None
) -> Fit:
    """The axis of estimators' measures: as asked, else as the lines of the `first` run need it.

    Without `first` all lines are of one run.
    """
    values = _finite(lines)
    first = lines if first is None else first
    if asked == "linear":
        return Fit(Scale("linear"))
    if asked == "asinh":
        return Fit(choose("signed", values))
    if asked == "log":
        return Fit(choose("log", values), note="" if (values > 0).all() else NOT_LOG)
    unit = _crowded(first, _finite(first)) if scaling == "linear" else None
    if unit is None:
        return Fit(choose(scaling, values))
    largest = float(np.abs(values).max())
    return Fit(Scale("asinh", unit, largest, bool((values < 0).any())), note=ASINH)


def runs(scaling: Scaling, asked: str, by_run: Mapping[int, Sequence[Floats]]) -> Fit:
    """The axis of metrics of whole runs, by place; it is never asinh, even if asked.

    Unless it is asked for, a loss is on a linear axis, whatever its runs do.
    """
    note = NOT_RUNS if asked == "asinh" else ""
    values_of = {place: _finite(lines) for place, lines in by_run.items()}
    every = _finite(list(values_of.values()))
    if asked == "log":
        return Fit(choose("log", every), None, "" if (every > 0).all() else NOT_LOG)
    if scaling in ("log", "signed") and asked != "linear":
        return Fit(choose(scaling, every), None, note)
    return Fit(Scale("linear"), _calm(values_of) if scaling == "wide" else None, note)


def _finite(lines: Sequence[Floats]) -> Floats:
    values = np.concatenate(lines) if lines else np.empty(0)
    return values[np.isfinite(values)]


def _crowded(lines: Sequence[Floats], values: Floats) -> float | None:
    """Where an asinh axis turns logarithmic; None if no line is too small for a linear axis."""
    sizes = [float(np.median(np.abs(finite))) for line in lines if len(finite := _finite([line]))]
    # A line that is 0 throughout is where it belongs on any axis.
    sizes = [size for size in sizes if size > 0]
    if len(sizes) < 2 or min(sizes) * CROWDED >= np.ptp(np.append(values, 0.0)):
        return None
    return 10.0 ** np.floor(max(np.log10(min(sizes)), -300.0))


def _calm(values_of: Mapping[int, Floats]) -> tuple[float, float] | None:
    """The range of the runs without those that are far above all others, and without what
    explodes; None if there is neither."""
    ascending = sorted((values for values in values_of.values() if len(values)), key=np.max)
    calm: list[Floats] = []
    for curve in ascending:
        if calm and curve.max() > DWARFS * _usual(calm):
            break
        calm.append(curve)
    # Runs hold their first value first: a loss that grows to many times of it explodes.
    start = _start(calm)
    exploding = start > 0 and float(np.concatenate(calm).max()) > EXPLODES * start
    if not exploding and (len(calm) == len(ascending) or _usual(calm) <= 0):
        return None
    values = np.concatenate(calm)
    top = 1.5 * _usual(calm)
    if top < values.max() <= DWARFS * _usual(calm):
        top = float(values.max())
    if exploding:
        top = DWARFS * start
        values = values[values <= top]
    low = float(values.min())
    lowest = min(float(curve.min()) for curve in ascending)
    # What the others reach further down is shown too: down to 0, or as it leaves these their room.
    low = lowest if lowest >= 0 or low - lowest <= top - low else low
    pad = 0.05 * (top - low)
    return low - pad, top + pad


def _start(lines: Sequence[Floats]) -> float:
    """Where the runs begin, or what they usually are if that is more; 0 without any."""
    if not lines:
        return 0.0
    begins = float(np.median([line[0] for line in lines]))
    return max(begins, float(np.median(np.abs(np.concatenate(lines)))))


def _usual(lines: Sequence[Floats]) -> float:
    return float(np.quantile(np.concatenate(lines), 0.99))
