"""`results_of`: what a study shows so far: its table, choices and verdicts, and all of its runs."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from backend.strict_json import finite_or_none
from backend.studies import table
from backend.studies.measure import Measure, measure_of
from backend.studies.progress import PlannedVariant, Progress, StudyPlan, StudyRun
from backend.studies.table import Row, StudyTable
from backend.studies.verdicts import Leaderboard, Verdict, compare_pairs, leaderboard

COST = Measure("cost", "cost of a step", False, unit="forward passes", exact=True)


def reported(plan: StudyPlan, found: Progress) -> dict[str, dict[int, float]]:
    """{variant: {seed: reported metric}}; NaN of a run that diverged. Every variant is there."""
    values: dict[str, dict[int, float]] = {each.label: {} for each in plan.variants}
    for run in found.reported():
        if run.result is not None and run.cell.variant in values:
            values[run.cell.variant][run.cell.seed] = run.result
    return values


def ranked_by(
    plan: StudyPlan, found: Progress, name: str, by_run: Mapping[str, float]
) -> Leaderboard:
    """The leaderboard by another metric, `by_run` {run: its last value}, or by `cost`: the declared
    forward passes of a step. Raises FigureError for a metric that the lab does not know."""
    if name == COST.name:
        values = {each.label: {} if each.cost is None else {0: each.cost} for each in plan.variants}
        return leaderboard(values, COST)
    of_variant: dict[str, dict[int, float]] = {each.label: {} for each in plan.variants}
    for run in found.reported():
        if run.status == "diverged":
            of_variant[run.cell.variant][run.cell.seed] = math.nan
        elif run.status == "finished" and run.id in by_run:
            of_variant[run.cell.variant][run.cell.seed] = by_run[run.id]
    return leaderboard(of_variant, measure_of(name))


def baseline_pairs(plan: StudyPlan) -> list[tuple[str, str]]:
    """(variant, the baseline that it is compared with): at the same values of the varied fields if
    the baseline is a method."""
    baseline = plan.study.baseline
    if baseline is None:
        return []
    of_point = {
        str(dict(each.variant.fields)): each.label
        for each in plan.variants
        if each.variant.method == baseline
    }
    pairs = []
    for each in plan.variants:
        to = of_point.get(str(dict(each.variant.fields)), baseline)
        if to != each.label:
            pairs.append((each.label, to))
    return pairs


def results_of(
    plan: StudyPlan, found: Progress, ranking: Leaderboard | None = None
) -> dict[str, Any]:
    """What a study shows, as JSON, in which null stands for NaN.

    `{table, words, leaderboard, choices, verdicts, steps, timings, failures, runs}`; `ranking` is
    the leaderboard, where it is not by the study's own metric.
    """
    shown = shown_of(plan, found)
    return {
        "table": shown.table.document(),
        "words": shown.table.words(),
        "leaderboard": _places(ranking or shown.board),
        "verdicts": [each.document() for each in shown.verdicts],
        "choices": {label: choice.document() for label, choice in found.choices.items()},
        "steps": found.steps,
        "timings": found.timings,
        "failures": [_failure(run) for run in found.failures],
        "runs": [_run(run) for run in found.cells.values()],
    }


class Shown(NamedTuple):
    """The table of a study, its leaderboard, and its verdicts against the baseline."""

    table: StudyTable
    board: Leaderboard
    verdicts: Sequence[Verdict]


def shown_of(plan: StudyPlan, found: Progress) -> Shown:
    """What the table and the figures of a study are made of."""
    measure, values = measure_of(plan.study.reported_metric), reported(plan, found)
    board = leaderboard(values, measure)
    verdicts = compare_pairs(values, measure, baseline_pairs(plan))
    rows = _rows(plan, found, _against(board, verdicts, plan), board)
    return Shown(StudyTable(measure, rows), board, verdicts)


def _against(
    board: Leaderboard, verdicts: Sequence[Verdict], plan: StudyPlan
) -> dict[str, Verdict]:
    """{variant: its verdict}: against the baseline, or without one, the best mean."""
    if plan.study.baseline is not None:
        return {each.first: each for each in verdicts}
    return {p.label: p.against_best for p in board.places if p.against_best is not None}


def _rows(
    plan: StudyPlan, found: Progress, verdicts: Mapping[str, Verdict], board: Leaderboard
) -> list[Row]:
    places = {place.label: place.words for place in board.places} if len(board.places) > 1 else {}
    by_variant: dict[str, dict[int, StudyRun]] = defaultdict(dict)
    for run in found.reported():
        by_variant[run.cell.variant][run.cell.seed] = run
    seeds = plan.study.seeds
    return [
        Row(
            each.label,
            _fields(each, found),
            [_cell(seed, by_variant[each.label].get(seed)) for seed in seeds],
            found.choices.get(each.label),
            verdicts.get(each.label),
            places.get(each.label, ""),
        )
        for each in plan.variants
    ]


def _fields(planned: PlannedVariant, found: Progress) -> dict[str, Any]:
    steps = found.steps.get(planned.label)
    spent = {} if steps is None else {"steps": steps}
    return {**planned.variant.fields, **planned.fitted, **spent}


def _cell(seed: int, run: StudyRun | None) -> table.Cell:
    if run is None:
        return table.Cell(seed, "missing")
    state = "running" if run.status == "paused" else "failed" if run.failure else run.status
    reason = run.failure if run.failure != state else ""
    return table.Cell(seed, state, run.value, reason, run.id)  # pyright: ignore[reportArgumentType]


def _places(board: Leaderboard) -> dict[str, Any]:
    places = [
        {
            "label": place.label,
            "rank": place.rank,
            "last_rank": place.last,
            "place": place.words,
            "mean": finite_or_none(place.sample.mean),
            "half_width": finite_or_none(place.half_width),
            "seeds": place.sample.count,
            "diverged": place.diverged,
            "tied": place.tied,
        }
        for place in board.places
    ]
    return {"metric": board.measure.name, "sentence": board.sentence, "places": places}


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
