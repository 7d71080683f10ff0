"""From a study's document and the lab's answers about its configurations to a plan, and back.

`drafts` says what has to be validated, `describe` what is stored of the answers, `stored_variants`
reads that again, and `run_row` makes the run of a cell.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from types import MappingProxyType
from typing import Any, NamedTuple

from backend.config import Probe, with_seed
from backend.studies.cells import Variant, at, refuse_twins, variants, with_field
from backend.studies.progress import PlannedVariant, Wanted
from backend.studies.study_file import (
    EVALUATED,
    STEP_SECONDS,
    StudyFile,
    StudyFileError,
    parse,
)

UNBOUNDED = (0.0, 1e12)
ROUNDING = 1e-4
"""Relative error of a value by which a grid grows, at most."""
BASE_BATCH = 64
"""The batch size of a configuration that gives none."""


class Draft(NamedTuple):
    """A configuration that has to be validated."""

    variant: Variant
    fields: Mapping[str, Any]
    """{tuned field: value}; empty without tuning."""
    config: dict[str, Any]
    widened: bool = False
    """Whether the value lies beyond the grid, which would grow up to there."""
    fitted: Mapping[str, int] = MappingProxyType({})
    """{field: the value with which it fits into the budget's memory}."""


def drafts(study: StudyFile) -> list[Draft]:
    """Every configuration of a study, seeds aside, and those of wider grids.

    The first one of each variant is at its first values. Raises StudyFileError.
    """
    return [
        Draft(variant, fields, at(variant.config, fields), widened)
        for variant in variants(study)
        for fields, widened in _tuned_fields(study, variant)
    ]


def _tuned_fields(study: StudyFile, variant: Variant) -> Iterator[tuple[dict[str, Any], bool]]:
    tuning = study.tuning
    if tuning is None:
        yield {}, False
        return
    also = {} if tuning.also is None else {tuning.also.field: tuning.also.values[0]}
    for value in variant.values:
        yield {tuning.field: value, **also}, False
    if tuning.also is not None:
        for other in tuning.also.values[1:]:
            yield {tuning.field: variant.values[0], tuning.also.field: other}, False
    for end in _wider_values(study, variant):
        yield {tuning.field: end, **also}, True


def _wider_values(study: StudyFile, variant: Variant) -> Iterator[float]:
    """The values by which a grid may grow at its ends, from each end outwards."""
    values, tuning = variant.values, study.tuning
    if tuning is None or len(values) < 2:
        return
    ratio = (values[-1] / values[0]) ** (1 / (len(values) - 1))
    for times in range(1, tuning.widen + 1):
        yield values[0] / ratio**times
        yield values[-1] * ratio**times


def to_fit(
    study: StudyFile, tried: Sequence[Draft], answers: Sequence[Mapping[str, Any]]
) -> list[int]:
    """The drafts, by their index, whose need of memory has to be compared with the budget's: all
    that are valid, but for wider grids."""
    if study.budget is None or study.budget.memory is None:
        return []
    pairs = enumerate(zip(tried, answers, strict=True))
    return [i for i, (draft, answer) in pairs if not draft.widened and not answer["errors"]]


def fitted_drafts(
    study: StudyFile, tried: Sequence[Draft], fits: Mapping[int, Mapping[str, Any]]
) -> list[Draft]:
    """The drafts with the value that fits: of a variant, the smallest of those of its drafts.

    `fits` are the answers of `fit_all` for the drafts of `to_fit`. Raises StudyFileError with a
    line for each problem.
    """
    budget = study.budget
    assert budget is not None
    assert budget.fit is not None
    problems: dict[str, list[Draft]] = defaultdict(list)
    values: dict[str, int] = {}
    for number, fit in fits.items():
        draft = tried[number]
        label = draft.variant.label
        if fit["problem"]:
            problems[fit["problem"]].append(draft)
        else:
            values[label] = min(fit["value"], values.get(label, fit["value"]))
    if problems:
        lines = [_told(problem, where, len(tried)) for problem, where in problems.items()]
        raise StudyFileError("\n".join(lines))
    return [_with_fit(draft, budget.fit, values.get(draft.variant.label)) for draft in tried]


def _with_fit(draft: Draft, field: str, value: int | None) -> Draft:
    if value is None:  # of what is not valid
        return draft
    config = with_field(draft.config, field, value)
    return draft._replace(config=config, fitted={field: value})


def describe(
    study: StudyFile, tried: Sequence[Draft], answers: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The variants as they are stored: plain JSON, in order.

    `answers` are those of the lab's validation for each draft. Raises StudyFileError with a line
    for each problem, whichever variants have it.
    """
    problems: dict[str, list[Draft]] = defaultdict(list)
    for draft, answer in zip(tried, answers, strict=True):
        if not draft.widened:
            for error in answer["errors"] or ():
                problems[_problem(study, draft, error)].append(draft)
    if problems:
        lines = [_told(problem, where, len(tried)) for problem, where in problems.items()]
        raise StudyFileError("\n".join(lines))
    for draft, answer in zip(tried, answers, strict=True):
        if not draft.widened:
            _check_metric(study, draft.variant.label, answer["config"])
    found: dict[str, dict[str, Any]] = {}
    for draft, answer in zip(tried, answers, strict=True):
        label = draft.variant.label
        if draft.widened:
            _bound(study, found[label], draft, allowed=not answer["errors"])
        elif label not in found:
            found[label] = _entry(study, draft, answer)
    for entry in found.values():
        del entry["ends"], entry["refused"]
    refuse_twins([(label, entry["config"]) for label, entry in found.items()])
    return list(found.values())


def _check_metric(study: StudyFile, label: str, config: Mapping[str, Any]) -> None:
    """Raise StudyFileError if a run of this configuration cannot have the metric."""
    metric, loss = study.metric, config["loss"]["name"]
    if metric == STEP_SECONDS:
        return
    if metric not in EVALUATED:
        probe = Probe.model_validate(config["probe"])
        if not probe.possible:
            raise StudyFileError(
                f"metric is {metric}, a measure of probes, and {label} has none (probe.budget is "
                "0); give probe.every"
            )
    lacking = {"cross_entropy": ("readout_accuracy", "own_view"), "info_nce": ("accuracy",)}
    if metric in lacking.get(loss, ()):
        instead = "readout_accuracy" if loss == "info_nce" else "accuracy"
        raise StudyFileError(
            f"metric is {metric}, which no run of {label} has, as it minimises {loss}; give "
            f"{instead} or loss"
        )


def _problem(study: StudyFile, draft: Draft, error: Mapping[str, Any]) -> str:
    place = ".".join(map(str, error["loc"]))
    if place in study.varied and str(error["msg"]).startswith("no field"):
        return (
            f"{place} is varied, and some have no such field: {error['msg']}; leave it out, or "
            "give it to the methods that have it"
        )
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def _told(problem: str, at_fault: Sequence[Draft], total: int) -> str:
    labels = list(dict.fromkeys(draft.variant.label for draft in at_fault))
    more = f" and {len(labels) - 2:,} more" if len(labels) > 2 else ""
    return f"{'; '.join(labels[:2])}{more}: {problem}" if total > 1 else problem


def _entry(study: StudyFile, draft: Draft, answer: Mapping[str, Any]) -> dict[str, Any]:
    variant, fitted = draft.variant, draft.fitted
    cost, batch = answer.get("cost"), answer["config"].get("batch_size", BASE_BATCH)
    if study.budget and study.budget.kind == "forwards" and cost is None:
        raise StudyFileError(
            f"{variant.label}: its estimator declares no cost, and the budget is in forward "
            "passes; give a budget in steps or seconds"
        )
    return {
        "label": variant.label,
        "method": variant.method,
        "fields": dict(variant.fields),
        "values": list(variant.values),
        "config": answer["config"],
        "labels": answer["labels"],
        "plugins": answer["plugins"],
        "cost": None if cost is None else cost * batch / study.base.get("batch_size", BASE_BATCH),
        "bounds": [*UNBOUNDED],
        "fitted": dict(fitted),
        "ends": [variant.values[0], variant.values[-1]] if variant.values else [],
        "refused": [False, False],
    }


def _bound(study: StudyFile, entry: dict[str, Any], draft: Draft, *, allowed: bool) -> None:
    """Note whether a variant's grid may grow to a value, which are tried from its ends outwards.

    The bounds stay where they are until a value is refused.
    """
    assert study.tuning is not None
    value, ends = draft.fields[study.tuning.field], entry["ends"]
    larger = value > ends[1]
    if entry["refused"][larger]:
        return
    if allowed:
        ends[larger] = value
    else:
        entry["refused"][larger] = True
        # A little further: the values by which a grid grows are rounded.
        entry["bounds"][larger] = ends[larger] * (1 + ROUNDING if larger else 1 - ROUNDING)


def grid_document(name: str, seeds: Sequence[int]) -> StudyFile:
    """The study of configurations that are given one by one; its variants are `grid_variants`.

    Raises StudyFileError for a seed that comes twice.
    """
    return parse({"name": name, "base": {}, "seeds": list(seeds)})


def grid_variants(answers: Sequence[Mapping[str, Any]], *, named: bool) -> list[dict[str, Any]]:
    """A variant for each validated configuration, which has the label of its driver.

    Labels that come twice are counted. `named` tells whether names of runs say their seeds.
    """
    found: dict[str, dict[str, Any]] = {}
    for answer in answers:
        driver = str(answer["labels"].get("driver", ""))[:80]
        numbered = (f"{driver} {number}" for number in count(2))
        label = next(each for each in chain([driver], numbered) if each not in found)
        found[label] = {
            **{name: answer[name] for name in ("config", "labels", "plugins")},
            **{"label": label, "method": label, "fields": {}, "values": []},
            **{"cost": answer.get("cost"), "bounds": [*UNBOUNDED], "unnamed": not named},
        }
    return list(found.values())


def stored_variants(stored: Sequence[Mapping[str, Any]]) -> list[PlannedVariant]:
    """The variants of a study that was stored."""
    return [
        PlannedVariant(
            Variant(
                each["label"], each["method"], each["fields"], each["config"],
                tuple(each["values"]),
            ),
            each["cost"],
            tuple(each["bounds"]),
            each.get("fitted", {}),
        )
        for each in stored
    ]  # fmt: skip


def run_row(study: StudyFile, stored: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """The run of a cell, as the store queues it; `stored` is its variant."""
    cell, config = wanted.cell, dict(stored["config"])
    named = [config["name"]]
    if cell.value is not None:
        assert study.tuning is not None
        config = at(config, {study.tuning.field: cell.value})
        named.append(f"{_end(study.tuning.field)} {cell.value:g}")
        if study.tuning.also is not None:
            config = at(config, {study.tuning.also.field: cell.also})
            named.append(f"{_end(study.tuning.also.field)} {cell.also}")
    if wanted.steps is not None:
        config |= {"steps": wanted.steps, "epochs": None}
    elif cell.fraction < 1 and config.get("epochs"):
        config["epochs"] *= cell.fraction
    if cell.phase == "timing":
        config["probe"] = {**config.get("probe", {}), "budget": 0, "every": None}
        named.append("timing")
    seeded = with_seed({**config, "name": ", ".join(named)}, cell.seed)
    if stored.get("unnamed"):
        seeded["name"] = config["name"]
    return {
        "config": seeded,
        "labels": stored["labels"],
        "plugins": stored["plugins"],
        "cell": cell._asdict(),
    }


def _end(path: str) -> str:
    return path.rpartition(".")[2]
