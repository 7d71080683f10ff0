"""Equal budgets: how many steps a variant gets of an amount of steps, forward passes or seconds."""

from backend.studies.study_file import StudyFile

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
    if budget is None:
        return None
    price = {"steps": 1.0, "forwards": cost, "seconds": seconds}[budget.kind]
    if price is None:
        raise LookupError("the price of a step is not known yet")
    return max(1, min(MAX_STEPS, int(budget.amount / price + 1e-9)))
