"""A run's configuration with several values in some fields, and the study that it stands for.

A list in place of a field's value means each of them: `tangents: [1, 4, 16]`. `as_study` makes the
document of the study, `as_config` the configuration of a document that says no more than that.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from math import prod
from typing import Any

from backend.config import MAX_NAME_LENGTH
from backend.studies.cells import with_field
from backend.studies.study_file import StudyFileError

MOST_VALUES = 256
"""Combinations of values of one configuration."""
LISTS = ("shadows",)
"""Fields whose own value is a list."""
SEED = "seed"
FOLDED = {"format", "name", "base", "grid", "seeds"}
"""What a configuration with several values can say of a study."""


def varied(config: Mapping[str, Any]) -> dict[str, list[Any]]:
    """`{field: values}` of the fields with several values, the seed among them."""
    return dict(_lists(config, ""))


def _lists(part: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, list[Any]]]:
    for name, value in part.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _lists(value, f"{path}.")
        elif isinstance(value, list) and path not in LISTS:
            yield path, list(value)


def single(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration at the first value of each field."""
    return next(combinations(config))


def combinations(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The configuration at each combination of values, in the order of the study."""
    fields = varied(config)
    for values in product(*fields.values()):
        changed = dict(config)
        for path, value in zip(fields, values, strict=True):
            changed = with_field(changed, path, value)
        yield changed


def checked_combinations(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same, seeds aside, as a list. Raises StudyFileError for values that make no study."""
    fields = varied(config)
    for path, values in fields.items():
        if not values:
            raise StudyFileError(f"{path} is an empty list; give a value")
        twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
        if twice is not None:
            raise StudyFileError(f"{path} has {twice} twice; give each value once")
    count = prod(len(values) for values in fields.values())
    if count > MOST_VALUES:
        raise StudyFileError(
            f"the values make {count:,} runs; at most {MOST_VALUES} are possible here: give fewer, "
            "or start a study from its file"
        )
    seeds = fields.get(SEED, [config.get(SEED, 0)])
    at_first_seed = {**config, SEED: seeds[0]}
    every_seed = ({**at_first_seed, SEED: seed} for seed in islice(seeds, 1, None))
    return [*combinations(at_first_seed), *(single(each) for each in every_seed)]


def as_study(config: Mapping[str, Any]) -> dict[str, Any]:
    """The document of the study of a configuration with several values in some fields."""
    fields = varied(config)
    seeds = fields.pop(SEED, [config.get(SEED, 0)])
    base = {key: value for key, value in single(config).items() if key not in ("name", SEED)}
    document: dict[str, Any] = {"name": _name(config, [*fields]), "base": base}
    if fields:
        document["grid"] = fields
    return {**document, "seeds": seeds}


def _name(config: Mapping[str, Any], paths: Sequence[str]) -> str:
    """The run's name, or what the study is about."""
    named = str(config.get("name") or "").strip()
    ends = " and ".join(path.rpartition(".")[2].replace("_", " ") for path in paths) or "seeds"
    return (named or f"several {ends}")[:MAX_NAME_LENGTH]


def as_config(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The configuration of a study that varies fields of one, else None: what it says besides has
    no place in a configuration."""
    base = document.get("base")
    grid, seeds = document.get("grid", {}), document.get("seeds", [0])
    if {*document} - FOLDED or not isinstance(base, Mapping) or not isinstance(grid, Mapping):
        return None
    if not isinstance(seeds, list) or not seeds:
        return None
    if not all(isinstance(values, list) and _are_plain(values) for values in grid.values()):
        return None
    config: dict[str, Any] = {"name": document.get("name", ""), **base}
    try:
        for path, values in grid.items():
            config = with_field(config, str(path), values)
    except StudyFileError:
        return None
    return {**config, SEED: seeds if len(seeds) > 1 else seeds[0]}


def _are_plain(values: Sequence[Any]) -> bool:
    return not any(isinstance(value, Mapping | list) for value in values)


def is_study(document: Mapping[str, Any]) -> bool:
    """Whether a document is a study's, not a run's configuration."""
    return "base" in document or "configs" in document
