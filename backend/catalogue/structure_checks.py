"""Checks of a configuration's structure, before any component is built."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from backend.config import COMPONENTS, MAX_SHADOWS, RunConfig
from backend.sentences import sentence, wrong
from backend.training.components.assemble import Described, components
from backend.training.components.resolve import MAX_PROBLEMS, Loc, Problem

_LENGTH_FIELDS = {"steps", "epochs", "batch_size"}


class ParsedConfig(NamedTuple):
    """A configuration as far as it can be read."""

    run: RunConfig | None
    """With defaults in place of the fields that are `broken`."""
    described: Described
    """The components that can be read."""
    problems: list[Problem]

    @property
    def broken(self) -> set[str | int]:
        """Fields whose further checks would judge a default in place of the given value."""
        fields = {p.loc[0] for p in self.problems}
        return fields | _LENGTH_FIELDS if fields & _LENGTH_FIELDS else fields


def read(config: Any) -> ParsedConfig:
    """What can be read of `config`, with every problem of its structure."""
    if not isinstance(config, Mapping):
        return ParsedConfig(None, {}, [Problem((), wrong("a run", config, "an object"))])
    problems = [*_missing_length(config)]
    try:
        run = RunConfig.model_validate(config)
        return ParsedConfig(run, components(run.model_dump()), problems)
    except ValidationError as error:
        problems += [_problem(e) for e in error.errors()[:MAX_PROBLEMS]]
        repaired = _with_defaults(config, problems)
        return ParsedConfig(repaired, _readable_components(config, problems), problems)


def _missing_length(config: Mapping[str, Any]) -> list[Problem]:
    """A problem if the form's field was emptied; a field that is left out has a default."""
    if config.get("epochs") is not None or config.get("steps") is not None:
        return []
    emptied = [name for name in ("steps", "epochs") if name in config]
    allowed = "give a whole number of steps, or epochs"
    return [Problem((name,), f"{name} is empty; {allowed}") for name in emptied[:1]]


def _problem(error: Any) -> Problem:
    # The one check of the whole model is about its length.
    loc: Loc = tuple(error["loc"]) or ("steps",)
    owner = str(loc[0]) if loc[1:] else "a run"
    return Problem(loc, sentence({**error, "loc": loc}, _allowed_fields(loc[:-1]), owner))


def _allowed_fields(loc: Loc) -> list[str]:
    schema = RunConfig.model_json_schema()
    part = schema["$defs"]["Probe"] if loc == ("probe",) else schema
    return list(part["properties"])


def _with_defaults(config: Mapping[str, Any], problems: list[Problem]) -> RunConfig | None:
    """The configuration with defaults for its broken fields, so that the rest can be checked."""
    fields = set(RunConfig.model_fields)
    broken = {p.loc[0] for p in problems} | (set(config) - fields)
    placeholders = {kind: {"name": "missing"} for kind in COMPONENTS if kind in broken}
    whole = {key: value for key, value in config.items() if key not in broken}
    try:
        return RunConfig.model_validate({**whole, **placeholders})
    except ValidationError:  # a problem of the whole remains
        return None


def _readable_components(config: Mapping[str, Any], problems: list[Problem]) -> Described:
    """The components without problems."""
    shadows = config.get("shadows", [])
    readable = isinstance(shadows, list) and len(shadows) <= MAX_SHADOWS
    config = {key: value for key, value in config.items() if key != "shadows" or readable}
    broken = [p.loc for p in problems]
    return {
        loc: component
        for loc, component in components(config).items()
        if not any(b[: len(loc)] == loc for b in broken)
    }
