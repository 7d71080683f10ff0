"""The check of a variance split: the variance that it predicts for another batch size and number of
draws, beside the variance that fresh gradients have there."""

import math
from dataclasses import dataclass

MAX_ERRORS = 4.0
"""Standard errors between prediction and measurement from which a check fails."""


@dataclass(frozen=True)
class Check:
    """The variance at another batch size and number of draws: predicted, and measured."""

    batch: int
    draws: int
    predicted: float
    measured: float
    predicted_se: float | None
    measured_se: float | None

    @property
    def errors(self) -> float | None:
        """Measured less predicted, in standard errors of the difference; None if not known."""
        if not self.measured_se or self.predicted_se is None:
            return None
        return (self.measured - self.predicted) / math.hypot(self.predicted_se, self.measured_se)

    @property
    def failed(self) -> bool:
        """Whether chance does not explain the difference."""
        return self.errors is not None and abs(self.errors) > MAX_ERRORS

    @property
    def blurred(self) -> bool:
        """Whether an error is larger than half its value: such a check says nothing, unless it
        fails."""
        pairs = (self.predicted, self.predicted_se), (self.measured, self.measured_se)
        return not self.failed and any((se or 0.0) > abs(x) / 2 for x, se in pairs)

    def budget(self, size: int) -> int:
        """The budget that it spends, in draws on batches of `size`."""
        return max(1, round(self.batch / size * self.draws))
