"""The frame of a configuration: what can be told before any component is made."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from backend.config import COMPONENTS, RunConfig
from backend.sentences import sentence, wrong
from backend.training.components.assemble import Described, components
from backend.training.components.resolve import Loc, Problem

_LENGTH = {"steps", "epochs", "batch_size"}


class Frame(NamedTuple):
    """A configuration as far as it can be read."""

    run: RunConfig | None
    """With defaults in place of what is `broken`."""
    described: Described
    """The components that can be looked at."""
    problems: list[Problem]

    @property
    def broken(self) -> set[str | int]:
        """The fields whose checks would judge a default in place of what came."""
        found = {p.loc[0] for p in self.problems}
        return found | _LENGTH if found & _LENGTH else found


def read(config: Any) -> Frame:
    """What can be read of `config`, with every problem of its structure."""
    if not isinstance(config, Mapping):
        return Frame(None, {}, [Problem((), wrong("a run", config, "an object"))])
    problems = [*_lengthless(config)]
    try:
        run = RunConfig.model_validate(config)
        return Frame(run, components(run.model_dump()), problems)
    except ValidationError as error:
        problems += [_problem(e) for e in error.errors()]
        return Frame(_mended(config, problems), _readable(config, problems), problems)


def _lengthless(config: Mapping[str, Any]) -> list[Problem]:
    """A form whose field was emptied: left out altogether, it has a default."""
    if config.get("epochs") is not None or config.get("steps") is not None:
        return []
    emptied = [name for name in ("steps", "epochs") if name in config]
    said = "give a whole number of steps, or epochs"
    return [Problem((name,), f"{name} is empty; {said}") for name in emptied[:1]]


def _problem(error: Any) -> Problem:
    # The one check of the whole model is about its length.
    loc: Loc = tuple(error["loc"]) or ("steps",)
    owner = str(loc[0]) if loc[1:] else "a run"
    return Problem(loc, sentence({**error, "loc": loc}, _allowed(loc[:-1]), owner))


def _allowed(loc: Loc) -> list[str]:
    schema = RunConfig.model_json_schema()
    part = schema["$defs"]["Probe"] if loc == ("probe",) else schema
    return list(part["properties"])


def _mended(config: Mapping[str, Any], problems: list[Problem]) -> RunConfig | None:
    """The configuration with defaults where it is broken, so that the rest can be checked."""
    broken = {p.loc[0] for p in problems}
    stand_ins = {kind: {"name": "missing"} for kind in COMPONENTS if kind in broken}
    whole = {key: value for key, value in config.items() if key not in broken}
    try:
        return RunConfig.model_validate({**whole, **stand_ins})
    except ValidationError:  # what is wrong with the whole, once its parts are mended
        return None


def _readable(config: Mapping[str, Any], problems: list[Problem]) -> Described:
    """The components of a broken configuration that can be looked at all the same."""
    if not isinstance(config.get("shadows", []), list):
        config = {key: value for key, value in config.items() if key != "shadows"}
    broken = [p.loc for p in problems]
    return {
        loc: component
        for loc, component in components(config).items()
        if not any(b[: len(loc)] == loc for b in broken)
    }
