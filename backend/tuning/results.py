"""The best rate of a configuration on validation, and the results of its other seeds on test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from estimators.statistics.paired import Comparison, paired
from estimators.statistics.student import Sample, half_width

DIVERGED = math.nan
"""The accuracy of a run that diverged."""
MIN_SEEDS = 2
"""Fewest seeds of an interval. The accuracies of runs are near to normal, unlike single draws."""


@dataclass(frozen=True)
class Choice:
    """The learning rate with the best mean validation accuracy."""

    rate: float | None
    """None if every rate diverged."""
    accuracy: float
    """The mean over the tuning seeds at that rate; NaN without one."""
    note: str
    """What the reader must know, such as "best at the edge"; may be empty."""
    curve: dict[float, float]
    """{rate: mean validation accuracy}; NaN where a run diverged."""


def choose(validation: Mapping[float, Sequence[float]]) -> Choice:
    """The best rate of {rate: accuracy of each tuning seed}, of validation alone.

    A rate at which a run diverged is not chosen. Of equal rates, the smallest is.
    """
    curve = {rate: _mean(accuracies) for rate, accuracies in sorted(validation.items())}
    usable = {rate: mean for rate, mean in curve.items() if math.isfinite(mean)}
    if not usable:
        return Choice(None, math.nan, "every rate diverged", curve)
    best = max(usable, key=lambda rate: (usable[rate], -rate))
    return Choice(best, usable[best], _edge(best, list(curve), list(usable)), curve)


def _mean(accuracies: Sequence[float]) -> float:
    """The mean; NaN if one is not finite."""
    return math.fsum(accuracies) / len(accuracies) if accuracies else math.nan


def _edge(best: float, rates: list[float], usable: list[float]) -> str:
    if len(rates) == 1:
        return "the only rate"
    if best == rates[0]:
        return "best at the edge: try smaller rates"
    if best == rates[-1]:
        return "best at the edge: try larger rates"
    if best == usable[-1]:
        return "the next larger rate diverged"
    return ""


@dataclass(frozen=True)
class Result:
    """The test accuracy of one configuration at its best rate."""

    label: str
    choice: Choice
    test: tuple[float, ...]
    """Of each seed, in the study's order; NaN of a run that diverged."""
    difference: Comparison | None
    """From the baseline, paired by seed; None of the baseline itself."""

    @property
    def sample(self) -> Sample:
        """The seeds that did not diverge."""
        return Sample.from_values(self.test)

    @property
    def half_width(self) -> float:
        """Half of Student's 95 % interval of the mean; NaN for fewer than two seeds."""
        return half_width(self.sample.count) * self.sample.standard_error


def results(
    choices: Mapping[str, Choice], test: Mapping[str, Sequence[float]], baseline: str
) -> list[Result]:
    """A result for each configuration; `test` is {label: accuracy of each seed}.

    The labels without a rate are missing in `test`.
    """
    return [
        Result(label, choice, tuple(test.get(label, ())), _compared(label, test, baseline))
        for label, choice in choices.items()
    ]


def _compared(label: str, test: Mapping[str, Sequence[float]], baseline: str) -> Comparison | None:
    if label == baseline or label not in test or baseline not in test:
        return None
    return paired(test[label], test[baseline], needed=MIN_SEEDS, unit="seeds")
