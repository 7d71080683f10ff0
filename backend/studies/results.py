"""`results_of`: what a study shows so far, as JSON: a row for each variant, and all of its runs."""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from backend.config import ACTIVE
from backend.strict_json import finite_or_none
from backend.studies.progress import PlannedVariant, Progress, StudyPlan, StudyRun

Seeded = Mapping[int, float]
"""{seed: metric}; NaN of a run that diverged."""


def reported(plan: StudyPlan, found: Progress) -> dict[str, dict[int, float]]:
    """{variant: {seed: reported metric}}; NaN of a run that diverged. Every variant is there."""
    values: dict[str, dict[int, float]] = {each.label: {} for each in plan.variants}
    for run in found.reported():
        if run.result is not None:
            values[run.cell.variant][run.cell.seed] = run.result
    return values


def results_of(plan: StudyPlan, found: Progress) -> dict[str, Any]:
    """`{metric, tuning_metric, variants, runs}`; NaN is null, as JSON has none."""
    values, failed = reported(plan, found), defaultdict(list)
    for run in found.failures:
        failed[run.cell.variant].append(run)
    active = defaultdict(int)
    for run in found.cells.values():
        active[run.cell.variant] += run.status in ACTIVE
    return {
        "metric": plan.study.reported_metric,
        "tuning_metric": plan.study.tuning_metric,
        "variants": [
            {
                **_variant(plan, found, each, values[each.label]),
                "active": active[each.label],
                "failures": [_failure(run) for run in failed[each.label]],
            }
            for each in plan.variants
        ],
        "runs": [_run(run) for run in found.cells.values()],
    }


def _variant(
    plan: StudyPlan, found: Progress, planned: PlannedVariant, by_seed: Seeded
) -> dict[str, Any]:
    choice = found.choices.get(planned.label)
    return {
        "label": planned.label,
        "method": planned.variant.method,
        "fields": dict(planned.variant.fields),
        "choice": None if choice is None else choice.document(),
        "steps": found.steps.get(planned.label),
        "seconds_a_step": found.timings.get(planned.label),
        "cost": planned.cost,
        "values": [finite_or_none(by_seed.get(seed, math.nan)) for seed in plan.study.seeds],
        "diverged": [seed for seed, value in by_seed.items() if math.isnan(value)],
    }


def _failure(run: StudyRun) -> dict[str, Any]:
    place = {name: value for name, value in run.cell._asdict().items() if value is not None}
    return {**place, "run": run.id, "number": run.number, "reason": run.failure}


def _run(run: StudyRun) -> dict[str, Any]:
    cell = run.cell
    return {
        "phase": cell.phase,
        "label": cell.variant,
        "value": cell.value,
        "also": cell.also,
        "fraction": cell.fraction,
        "seed": cell.seed,
        "run": run.id,
        "number": run.number,
        "status": run.status,
        "metric": None if run.value is None else finite_or_none(run.value),
    }
