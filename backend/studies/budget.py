"""Equal budgets: how many steps a variant gets of an amount of steps, forward passes or seconds."""

from backend.studies.cells import Cell, Variant
from backend.studies.study_file import StudyFile

TIMED_STEPS = 100
"""Steps of a run that measures the time of a step."""
MAX_STEPS = 10_000_000
"""Steps of one run."""


def steps_of_variant(study: StudyFile, cost: float | None, seconds: float | None) -> int | None:
    """The steps of a variant's reported runs; None if its configuration gives them.

    steps = ⌊amount / price⌋, with the price of a step: 1, its declared cost in forward passes of
    the base's batch, or its seconds. At least 1 and at most 10,000,000.

    Args:
        cost: declared cost of a step, in forward passes of the base's batch.
        seconds: measured seconds of a step; None: not measured yet.

    Raises:
        LookupError: the price of a step is not known yet.
    """
    budget = study.budget
    if budget is None or budget.kind is None or budget.amount is None:
        return None
    price = {"steps": 1.0, "forwards": cost, "seconds": seconds}[budget.kind]
    if price is None:
        raise LookupError("the price of a step is not known yet")
    return max(1, min(MAX_STEPS, int(budget.amount / price + 1e-9)))


def timing_cell(study: StudyFile, variant: Variant) -> Cell:
    """The run by which a variant's steps are timed: at its smallest value, which diverges least."""
    tuning = study.tuning
    if tuning is None:
        return Cell("timing", variant.label, study.seeds[0])
    also = tuning.also.values[0] if tuning.also else None
    return Cell("timing", variant.label, tuning.seeds[0], min(variant.values), also)
