"""All checks by name: those of one trial, those of all trials, and those with many draws.

Each raises AssertionError with a plain sentence, or returns what it found; "" stands for nothing
to add.
"""

from collections.abc import Callable, Mapping, Sequence

from estimators.conformance.batches import (
    compare_batches,
    compare_oracle,
    offers_batches,
    offers_oracle,
)
from estimators.conformance.checks import (
    has_names_and_shapes,
    is_frozen,
    leaks_no_graph,
    leaves_inputs_alone,
    repeats_with_the_seed,
    reports_the_loss,
)
from estimators.conformance.claims import descends, keeps_its_claim, keeps_its_claim_in_many_draws
from estimators.conformance.costs import NO_COUNT, NO_NOISE, averages_its_draws, declares_its_cost
from estimators.conformance.law_checks import obeys_its_law, obeys_its_law_in_many_draws
from estimators.conformance.many_draws import ManyDraws
from estimators.conformance.precision import keeps_double_precision
from estimators.conformance.states import NO_STATE, advances_its_state, has_state, uses_its_state
from estimators.conformance.trial import Trial

Check = Callable[[Trial], str | None]
CheckAcross = Callable[[Sequence[Trial]], str]
CheckMany = Callable[[Trial, ManyDraws], str]

CHECKS: dict[str, Check] = {
    "is frozen": is_frozen,
    "has names and shapes": has_names_and_shapes,
    "reports the loss": reports_the_loss,
    "repeats with the seed": repeats_with_the_seed,
    "leaves inputs alone": leaves_inputs_alone,
    "leaks no graph": leaks_no_graph,
    "keeps double precision": keeps_double_precision,
    "advances its state": advances_its_state,
    "keeps its claim": keeps_its_claim,
    "obeys its law": obeys_its_law,
    "batches its draws": compare_batches,
    "has a true oracle": compare_oracle,
}
"""Checks of one setting on one network."""

ACROSS: dict[str, CheckAcross] = {
    "declares its cost": declares_its_cost,
    "uses its state": uses_its_state,
    "averages its draws": averages_its_draws,
    "descends": descends,
}
"""Checks that compare settings, or networks."""

MANY: dict[str, CheckMany] = {
    "keeps its claim": keeps_its_claim_in_many_draws,
    "obeys its law": obeys_its_law_in_many_draws,
}
"""Checks that `CHECKS` makes with few draws in every setting, with many draws at the defaults."""

WITHOUT_DRAWS = ("is frozen",)
"""Checks that need no estimate."""

OPTIONAL: Mapping[str, tuple[Callable[[Trial], bool], str]] = {
    "advances its state": (has_state, NO_STATE),
    "obeys its law": (lambda trial: trial.law is not None, "no law offered"),
    "batches its draws": (offers_batches, "no batched draws offered"),
    "has a true oracle": (offers_oracle, "no oracle offered"),
}
"""Checks of what an estimator need not offer: whether it does, and what to say if it does not."""

NOTHING_OFFERED = (NO_STATE, NO_COUNT, NO_NOISE)
"""What a check that compares settings finds where an estimator has nothing to compare."""
