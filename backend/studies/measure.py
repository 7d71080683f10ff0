"""`Measure`: the number by which the variants of a study are compared, and how it is written."""

import math
from dataclasses import dataclass

from backend.figures.data.metrics import Scaling, larger_is_better, metric_of_part

POINTS = 100
"""A fraction is written in percent, a difference of fractions in points."""


@dataclass(frozen=True)
class Measure:
    """A number of each run."""

    name: str
    """The metric's name, such as `test/accuracy`, or that of a cost."""
    title: str
    """In a sentence: `test accuracy`."""
    higher_is_better: bool
    fraction: bool = False
    """Whether it is a fraction of examples."""
    unit: str = ""
    exact: bool = False
    """Whether it has no noise, such as a count of passes: then any difference counts."""
    scaling: Scaling = "linear"
    """How an axis shows it."""

    @property
    def scale(self) -> int:
        """By what values are multiplied before they are written or drawn."""
        return POINTS if self.fraction else 1

    def value(self, value: float, spread: float = math.nan) -> str:
        """A value, in as many digits as its spread asks for: `91.6 %`."""
        return f"{self.number(value, spread)}{self.suffix}"

    def number(self, value: float, spread: float = math.nan) -> str:
        """The same without its unit; a dash for NaN."""
        return number(value * self.scale, spread * self.scale)

    @property
    def suffix(self) -> str:
        """The unit as it follows a value."""
        unit = "%" if self.fraction else self.unit
        return f" {unit}" if unit else ""

    def gap(self, difference: float, spread: float = math.nan) -> str:
        """A difference with its unit: `1.6 points`."""
        text = self.number(difference, spread)
        if self.fraction:
            return f"{text} point{'' if text == '1' else 's'}"
        return f"{text} {self.unit}" if self.unit else text


def measure_of(name: str) -> Measure:
    """The measure of a metric that the lab's figures know. Raises FigureError for another."""
    words = metric_of_part(name)
    return Measure(
        name,
        words.short,
        larger_is_better(name),
        words.fraction,
        words.unit,
        scaling=words.scaling,
    )


def number(value: float, spread: float = math.nan) -> str:
    """A number down to the second digit of its spread; three digits without one; a dash for NaN."""
    if not math.isfinite(value):
        return "–"
    if not (math.isfinite(spread) and spread > 0):
        return f"{value + 0.0:.3g}".replace("-", "−")
    decimals = max(0, 1 - math.floor(math.log10(spread)))
    # A spread far below the number's own rounding asks for no more digits than there are.
    text = f"{value:,.{decimals}f}" if decimals <= 6 else f"{value:.6g}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")
