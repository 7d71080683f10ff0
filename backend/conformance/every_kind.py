"""The contract of each kind, and `check`, which holds a class to it."""

from collections.abc import Iterable
from functools import partial

from backend.conformance import (
    dataset_checks,
    dataset_trials,
    figure_checks,
    loss_checks,
    loss_trials,
    network_numbers,
    network_structure,
    network_trials,
    optimizer_checks,
    optimizer_trials,
    schedule_checks,
)
from backend.conformance.samples import samples_like
from backend.conformance.verdicts import SECONDS, Before, Contract, verdicts_of
from backend.training.datasets import Dataset
from estimators.conformance import Verdict, one_thread

NETWORK = Contract(
    network_trials.trials_of,
    {
        "draws its weights": network_numbers.draws_its_weights,
        "gives class scores": network_structure.puts_out_scores,
        "is an objective": network_structure.is_an_objective,
    },
    {
        "counts its parameters": network_structure.counts_its_parameters,
        "names its stages": network_structure.names_its_stages,
        "passes its sites": network_structure.passes_its_sites,
        "repeats its passes": network_numbers.repeats_its_passes,
        "agrees in its derivatives": network_numbers.agrees_in_its_derivatives,
        "separates its examples": network_numbers.separates_its_examples,
        "gives every parameter a gradient": network_numbers.gives_every_parameter_a_gradient,
        "keeps its state": network_numbers.keeps_its_state,
    },
    {
        "takes shapes": network_structure.takes_shapes,
        "builds every setting": network_structure.has_settings,
        "lists what the lab inferred": network_structure.says_what_is_inferred,
        "serves estimators": network_structure.serves_estimators,
        "describes itself": network_structure.has_help,
    },
)

DATASET = Contract(
    dataset_trials.trials_of,
    {"loads": dataset_checks.loads},
    {
        "is finite": dataset_checks.is_finite,
        "has its classes": dataset_checks.has_its_classes,
        "has disjoint parts": dataset_checks.has_disjoint_parts,
        "follows the seed": dataset_checks.follows_the_seed,
        "separates its test part": dataset_checks.separates_its_test_part,
        "augments": dataset_checks.augments,
        "loads every setting": dataset_checks.loads_every_setting,
        "describes itself": dataset_checks.describes_its_data,
    },
    {},
)

LOSS = Contract(
    loss_trials.trials_of,
    {"gives a loss for each example": loss_checks.gives_a_loss_for_each_example},
    {
        "separates its examples": loss_checks.separates_its_examples,
        "is finite": loss_checks.is_finite_on_large_outputs,
        "agrees in its derivatives": loss_checks.agrees_in_its_derivatives,
        "repeats": loss_checks.repeats,
        "prepares batches": loss_checks.prepares_batches,
        "takes its smallest batch": loss_checks.takes_its_smallest_batch,
        "evaluates": loss_checks.evaluates,
    },
    {
        "has settings": loss_checks.has_settings,
        "describes itself": loss_checks.has_help,
    },
)

OPTIMIZER = Contract(
    optimizer_trials.trials_of,
    {"is torch's": optimizer_checks.is_torchs},
    {
        "lowers a quadratic": optimizer_checks.lowers_a_quadratic,
        "keeps its state": optimizer_checks.keeps_its_state,
        "follows the rate": optimizer_checks.follows_the_rate,
        "takes zero gradients": optimizer_checks.takes_zero_gradients,
        "leaves gradients alone": optimizer_checks.leaves_gradients_alone,
        "repeats its updates": optimizer_checks.repeats_its_updates,
    },
    {
        "builds every setting": optimizer_checks.builds_every_setting,
        "describes itself": optimizer_checks.has_help,
    },
)

SCHEDULE = Contract(
    schedule_checks.trials_of,
    {"is finite": schedule_checks.is_finite},
    {"repeats": schedule_checks.repeats, "trains": schedule_checks.trains},
    {"describes itself": schedule_checks.has_help},
)

FIGURE = Contract(
    figure_checks.trials_of,
    {"draws a run": figure_checks.draws_a_run},
    {
        "draws a run without points": figure_checks.draws_a_run_without_points,
        "fits in JSON": figure_checks.fits_in_json,
        "repeats": figure_checks.repeats,
    },
    {"describes itself": figure_checks.has_words},
)

CONTRACTS: dict[str, Contract] = {
    "network": NETWORK,
    "dataset": DATASET,
    "loss": LOSS,
    "optimizer": OPTIMIZER,
    "schedule": SCHEDULE,
    "figure": FIGURE,
}
"""The contract of each kind of component but the estimator, which has its own."""


def check(
    kind: str,
    cls: type,
    before: Before = lambda name: None,
    seconds: float = SECONDS,
    beside: Iterable[type[Dataset]] = (),
) -> list[Verdict]:
    """Run every check of a kind on several settings of a class.

    Args:
        kind: The kind of component, a key of `CONTRACTS`.
        cls: The class.
        before: Called with the name of each check before it is made.
        seconds: Processor time for each check, after which it is tried in no further setting.
        beside: Data sets on whose shapes a network is tried before it is on others.
    """
    contract = CONTRACTS[kind]
    if kind == "network":
        own = tuple(samples_like(beside))
        contract = contract._replace(trials=partial(network_trials.trials_of, own=own))
    with one_thread():
        return verdicts_of(contract, cls, before, seconds)
