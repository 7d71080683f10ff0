"""When the differences of the loss that an estimator takes are rounding.

An estimator that compares L(θ + ε v) with L(θ − ε v) learns nothing where the two differ by less
than the loss is rounded: the difference is then a multiple of the last bit, of a random sign. More
draws do not help as much as a longer step or a finer type.
"""

import math
from dataclasses import dataclass

from estimators.statistics.formatting import round_up

MOST = 0.5
"""The rounding of the loss over a typical difference from which the latter is called rounding. At
this ratio rounding adds a quarter to the variance of a draw, at twice the ratio it doubles it."""
GOOD = 0.05
"""The ratio that a longer step is advised for."""


@dataclass(frozen=True)
class Rounding:
    """The rounding of the loss beside a typical difference."""

    floor: float
    """ε|L|: how far the loss is off by rounding."""
    difference: float
    """The root mean square of the differences that one draw takes: h‖g‖."""
    dtype: str = ""
    """The type in which the loss is computed; "" where it is not known."""

    @property
    def ratio(self) -> float:
        """Rounding over difference; infinite where there is no difference."""
        if self.difference > 0:
            return self.floor / self.difference
        return math.inf if self.floor > 0 else 0.0

    @property
    def text(self) -> str:
        """What is wrong and what would help; "" where the differences are larger than rounding."""
        if not self.ratio > MOST or math.isinf(self.floor):
            return ""
        where = f" in {self.dtype}" if self.dtype else ""
        longer = "longer"
        if math.isfinite(self.ratio):
            longer = f"about {round_up(self.ratio / GOOD):,} times as long"
        return (
            f"the differences of the loss are rounding: a step changes the loss by about "
            f"{self.difference:.2g}, and its precision{where} is {self.floor:.2g}; take a step "
            f"{longer}, or compute the loss in a finer type"
        )
