"""`Variant` and `Cell`: what a study compares, and which runs that takes.

A variant is a method at one combination of the varied fields. A cell is one run of a variant: with
a seed, in a phase, and in the tuning phase at one value of the tuned field.
"""

import copy
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, Literal, NamedTuple

from backend.config import MAX_NAME_LENGTH, RunConfig
from backend.sentences import show
from backend.studies.study_file import Method, StudyFile, StudyFileError
from backend.studies.tuning import Point

MAX_CELLS = 10_000
"""Runs of one study."""
Phase = Literal["timing", "tuning", "report"]
Key = tuple[Any, ...]
"""What tells the cells of a study from each other."""


@dataclass(frozen=True)
class Variant:
    """A method at one combination of the varied fields."""

    label: str
    method: str
    fields: Mapping[str, Any]
    """{varied field: its value here}."""
    config: Mapping[str, Any] = field(repr=False)
    """A run's configuration, without seed; `name` is that of the study and the label."""
    values: tuple[float, ...] = ()
    """Its grid of the tuned field; empty without tuning."""


class Cell(NamedTuple):
    """One run of a variant."""

    phase: Phase
    variant: str
    """The label."""
    seed: int
    value: float | None = None
    """Of the tuned field; None without tuning."""
    also: Any | None = None
    """Of the second tuned field."""
    fraction: float = 1.0
    """Share of the steps of a tuning run, less than 1 in the first rungs of halving."""

    @property
    def key(self) -> Key:
        """Equal for the runs of one cell."""
        return (*self[:4], json.dumps(self.also, sort_keys=True), round(self.fraction, 9))

    @property
    def point(self) -> Point:
        """The tuned values."""
        assert self.value is not None
        return self.value, self.also


def variants(study: StudyFile) -> list[Variant]:
    """The variants of a study, method by method. Raises StudyFileError."""
    _check_count(study)
    found = [
        Variant(
            label := _label(study, method, point),
            method.label,
            point,
            _config(study, method, point, label),
            _values(study, method),
        )
        for method in _methods(study)
        for point in _points(study)
    ]
    _check_labels(study, found)
    return found


def count_cells(study: StudyFile) -> int:
    """The runs of a study before its grids grow, counted without making any."""
    methods = _methods(study)
    combinations = prod(map(len, study.grid.values())) * max(1, len(study.points))
    tuning = study.tuning
    each = [
        len(study.seeds)
        if tuning is None
        else len(study.seeds)
        + len(_values(study, method))
        * len(tuning.seeds)
        * (len(tuning.also.values) if tuning.also else 1)
        for method in methods
    ]
    return combinations * sum(each)


def _check_count(study: StudyFile) -> None:
    count = count_cells(study)
    if count > MAX_CELLS:
        raise StudyFileError(
            f"the study has {count:,} runs; at most {MAX_CELLS:,} are allowed: take fewer values, "
            "methods or seeds"
        )


def _methods(study: StudyFile) -> Sequence[Method]:
    if study.methods:
        return study.methods
    estimator = study.base.get("estimator")
    name = estimator.get("name") if isinstance(estimator, Mapping) else None
    return [Method(label=str(name or "base")[:80])]


def _points(study: StudyFile) -> Iterator[dict[str, Any]]:
    if study.points:
        yield from study.points
        return
    for values in product(*study.grid.values()):
        yield dict(zip(study.grid, values, strict=True))


def _values(study: StudyFile, method: Method) -> tuple[float, ...]:
    return () if study.tuning is None else tuple(sorted(method.rates or study.tuning.values))


def _label(study: StudyFile, method: Method, point: Mapping[str, Any]) -> str:
    """`FG, samples 4, width 64`; a field by the last part of its path, if no other ends so."""
    ends = Counter(field.rpartition(".")[2] for field in point)
    parts = [method.label] if study.methods or not point else []
    for path, value in point.items():
        end = path.rpartition(".")[2]
        parts.append(f"{end if ends[end] == 1 else path} {_short(value)}")
    return ", ".join(parts)


def _short(value: Any) -> str:
    """A value in a label; of a component, its name and fields."""
    if isinstance(value, Mapping):
        rest = [_short(v) for key, v in value.items() if key != "name"]
        return " ".join([str(value.get("name", "")), *rest]).strip()
    return value if isinstance(value, str) else f"{value:g}" if _is_float(value) else show(value)


def _is_float(value: Any) -> bool:
    return isinstance(value, float)


def _config(
    study: StudyFile, method: Method, point: Mapping[str, Any], label: str
) -> dict[str, Any]:
    config = {**copy.deepcopy(study.base), **copy.deepcopy(method.config)}
    for path, value in point.items():
        config = with_field(config, path, value)
    if study.budget is not None and study.budget.kind is not None:
        # The budget decides; until it is known, a run has the base's steps.
        config.pop("epochs", None)
    return {**config, "name": f"{study.name}: {label}"[:MAX_NAME_LENGTH]}


def with_field(config: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a configuration with one field changed. Raises StudyFileError.

    A component that it does not name is the default one.
    """
    first, _, rest = path.partition(".")
    if not rest:
        return {**config, first: copy.deepcopy(value)}
    part = config.get(first)
    if part is None and first in RunConfig.model_fields:
        default = RunConfig.model_fields[first].get_default(call_default_factory=True)
        part = default.model_dump() if hasattr(default, "model_dump") else None
    if not isinstance(part, Mapping):
        what = "is missing" if part is None else f"is {show(part)}"
        raise StudyFileError(f"{path} is varied, and {first} {what}; {first} must be an object")
    return {**config, first: with_field(part, rest, value)}


def at(config: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a configuration with several fields changed. Raises StudyFileError."""
    changed = dict(config)
    for path, value in fields.items():
        changed = with_field(changed, path, value)
    return changed


def _check_labels(study: StudyFile, found: Sequence[Variant]) -> None:
    labels = [variant.label for variant in found]
    twice = next((label for label, count in Counter(labels).items() if count > 1), None)
    if twice is not None:
        raise StudyFileError(f"two variants are called {twice!r}: they are alike; leave one out")
    allowed = [*dict.fromkeys([v.method for v in found]), *labels]
    if study.baseline is not None and study.baseline not in allowed:
        raise StudyFileError(
            f"baseline is {study.baseline}; the labels are {', '.join(dict.fromkeys(allowed))}"
        )


def refuse_twins(found: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Raise StudyFileError if two of the (label, validated configuration) make the same runs."""
    seen: dict[str, str] = {}
    for label, config in found:
        content = json.dumps({**config, "name": "", "seed": 0}, sort_keys=True)
        twin = seen.setdefault(content, label)
        if twin != label:
            raise StudyFileError(
                f"{twin!r} and {label!r} are alike: their configurations are the same in every "
                "field; leave one out"
            )
