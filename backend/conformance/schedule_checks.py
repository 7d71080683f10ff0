"""The checks of a schedule: its factors of the learning rate, over runs of several lengths."""

import math
from dataclasses import fields, replace
from functools import cache

from backend.conformance.settings import Settings, describes_itself, name_of, settings_of
from backend.training.components.discovery import catalogue_name
from backend.training.optimizers import Schedule

LENGTHS = (1, 2, 10, 1000)
"""Updates of the runs."""
LONGER = 5000
"""A number of steps in a field, such as a warm-up, that is longer than any of the runs."""


class ScheduleTrial:
    """One setting of a schedule."""

    def __init__(self, schedule: Schedule, setting: str, settings: Settings) -> None:
        self.schedule, self.settings = schedule, settings
        self.name = name_of(setting, catalogue_name(type(schedule)))
        self.factors = cache(self._factors)

    def _factors(self, steps: int) -> list[float]:
        """The factors of all updates of a run."""
        return [self.schedule.factor(step, steps) for step in range(steps)]


def trials_of(cls: type[Schedule]) -> list[ScheduleTrial]:
    """Every setting that can be made, and one with every count of steps longer than the runs."""
    settings = settings_of(cls)
    made = dict(settings.made)
    default = made[""]
    counts = [f.name for f in fields(cls) if type(getattr(default, f.name)) is int]  # type: ignore[arg-type]
    for name in counts:
        try:
            made[f"{name}={LONGER}"] = replace(default, **{name: LONGER})
        except ValueError as error:
            settings.refused[f"{name}={LONGER}"] = str(error)
    return [ScheduleTrial(schedule, setting, settings) for setting, schedule in made.items()]


def is_finite(trial: ScheduleTrial) -> str:
    """Every factor is a finite number, and none is negative."""
    for steps in LENGTHS:
        for step, factor in enumerate(trial.factors(steps)):
            where = f"factor({step}, {steps}) is {factor!r:.40}"
            assert isinstance(factor, int | float), f"{where}, not a number"
            assert math.isfinite(factor), f"{where}; it has to be finite"
            assert factor >= 0, f"{where}; a negative rate goes uphill"
    return f"in runs of {', '.join(map(str, LENGTHS))} updates"


def repeats(trial: ScheduleTrial) -> str:
    """A factor depends on step and length alone, in whatever order they are asked for."""
    for steps in LENGTHS:
        first = trial.factors(steps)
        again = [trial.schedule.factor(step, steps) for step in reversed(range(steps))][::-1]
        other = next((s for s, (a, b) in enumerate(zip(first, again, strict=True)) if a != b), None)
        assert other is None, (
            f"factor({other}, {steps}) is {first[other]}, and {again[other]} when it is asked "
            "for again: it may depend on step and steps alone, since runs are resumed"
        )
    return ""


def trains(trial: ScheduleTrial) -> str:
    """Some update has a rate above zero; the largest is usually the optimiser's own."""
    factors = trial.factors(LENGTHS[-1])
    top = max(factors)
    assert top > 0, f"every factor of {len(factors):,} updates is 0, so that nothing is trained"
    shape = f"{factors[0]:.3g} at first, {top:.3g} at most, {factors[-1]:.3g} at last"
    if not 0.5 <= top <= 1.001:
        return f"{shape}: the largest is usually 1, the optimiser's own rate"
    return shape


def has_help(trial: ScheduleTrial) -> str:
    """What the form shows."""
    return describes_itself(type(trial.schedule))
