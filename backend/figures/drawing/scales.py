"""Vertical scales that show every value: linear, log, and asinh for zero or mixed signs.

Plotly has no symmetric logarithm; the data are transformed, the ticks chosen, and the raw value
rides along for the hover.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.figures.data.metrics import Scaling
from backend.figures.data.source import Floats

DWARFS = 1000.0
"""How many times larger a value must be than the others to have them drawn by decades."""


@dataclass(frozen=True)
class Scale:
    """A scale; for asinh, `unit` is where it turns from linear to logarithmic.

    For log, `unit` and `largest` are the ends of the values.
    """

    kind: str
    unit: float = 1.0
    largest: float = 1.0
    signed: bool = True
    """Whether ticks are wanted below zero."""

    def positions(self, values: Floats) -> Floats:
        """Values to positions; for asinh one decade far from zero is one unit."""
        return np.arcsinh(values / self.unit) / np.log(10) if self.kind == "asinh" else values

    def axis(self, most: int = 4, min_gap: float = 0.07) -> dict[str, Any]:
        """What the axis needs to read in the values' own terms.

        At most `most` ticks to a side of zero, none nearer to it than `min_gap` of the axis. Its
        `uirevision` names the scale, `asinh 0.01` with its unit, so that a reader of the figure can
        turn positions into values.
        """
        if self.kind == "linear":
            return {"type": "linear", "uirevision": "linear"}
        if self.kind == "log":
            return {**self._log(), "uirevision": "log"}
        ticks = self._ticks(most, min_gap)
        return {
            "type": "linear",
            "uirevision": f"asinh {float(self.unit)!r}",
            "tickmode": "array",
            "tickvals": self.positions(np.array(ticks)).tolist(),
            "ticktext": tick_texts(ticks),
        }

    def _log(self) -> dict[str, Any]:
        """Whole decades; where fewer than two are in view, decimals within them."""
        low, high = np.log10(self.unit), np.log10(self.largest)
        if np.floor(high) - np.ceil(low) < 1:
            return {"type": "log", "tickformat": f".{self._digits()}~g", "nticks": 6}
        stride = float(max(1, np.ceil((high - low) / 6)))
        return {"type": "log", "exponentformat": "power", "dtick": stride, "tick0": 0}

    def _digits(self) -> int:
        """As many as the ticks need to differ."""
        share = (self.largest - self.unit) / self.largest
        return 3 if share <= 0 else int(np.clip(2 - np.floor(np.log10(share)), 3, 9))

    def _ticks(self, most: int, min_gap: float) -> list[float]:
        """0 and powers of ten, few and far enough apart to be read at 360 pixels."""
        low = round(np.log10(self.unit))
        high = max(int(np.floor(np.log10(self.largest))), low)
        stride = max(1, -(-(high - low + 1) // most))
        # Down from the largest, so that the crowd around zero is what loses its ticks.
        powers = [10.0**k for k in range(high, low - 1, -stride)][::-1]
        whole = float(self.positions(np.array([max(self.largest, powers[-1])]))[0]) * (
            1 + self.signed
        )
        powers = [
            p for p in powers[:-1] if self.positions(np.array([p]))[0] > min_gap * whole
        ] + powers[-1:]
        return [-p for p in reversed(powers) if self.signed] + [0.0] + powers


def choose(scaling: Scaling, values: Floats) -> Scale:
    """The scale that shows all of these values; log only where all are positive."""
    if scaling == "linear":
        return Scale("linear")
    finite = values[np.isfinite(values)]
    # A run that diverges beside one that learns must not flatten it.
    if scaling == "wide" and not (
        len(finite) and np.ptp(finite) > DWARFS * np.median(np.abs(finite))
    ):
        return Scale("linear")
    if scaling in ("log", "wide") and len(finite) and (finite > 0).all():
        return Scale("log", float(finite.min()), float(finite.max()))
    sizes = np.abs(finite[finite != 0])
    if not len(sizes):
        return Scale("asinh")
    largest = float(sizes.max())
    # Within six decades of the largest: what is smaller is drawn near zero, where it belongs.
    lowest = max(float(np.quantile(np.log10(sizes), 0.1)), np.log10(largest) - 6, -300.0)
    return Scale("asinh", 10.0 ** np.floor(lowest), largest, bool((finite < 0).any()))


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """The texts of one axis: decimals, or powers of ten throughout where one reaches 1000."""
    sizes = [abs(tick) for tick in ticks if tick]
    plain = all(1e-3 <= size < 1e3 * (1 - 1e-9) for size in sizes)
    return [_text(tick, plain) for tick in ticks]


def _text(value: float, plain: bool) -> str:
    power = np.log10(abs(value)) if value else 0.0
    whole = abs(power - round(power)) < 1e-9
    if plain or value == 0 or (whole and round(power) in (0, 1)):
        return f"{value:.4g}".replace("-", "−")
    times = "" if whole else f"{10 ** (power - np.floor(power)):.2g} × "
    exponent = round(power) if whole else int(np.floor(power))
    sign = "−" if value < 0 else ""
    return f"{sign}{times}10<sup>{str(exponent).replace('-', '−')}</sup>"
