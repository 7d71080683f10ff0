"""`resolve`: build a component from its description, `{name: ..., field: value, ...}`."""

import inspect
import re
import traceback
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from backend.sentences import sentence, show, unknown, wrong
from backend.training.components.discovery import catalogue_name
from backend.training.components.index import KINDS, ComponentIndex
from backend.training.datasets.data_folder import described_folder
from estimators.core.contract import Estimator
from estimators.core.names import snake_name

Loc = tuple[str | int, ...]
MAX_PROBLEMS = 20
"""Of one component: a description may have thousands of unknown fields."""


class Problem(NamedTuple):
    """An error message, and its place in the configuration."""

    loc: Loc
    msg: str


class Resolved(NamedTuple):
    """A component, or the problems that prevent building it."""

    value: Any
    problems: list[Problem]


def resolve(kind: str, component: Any, index: ComponentIndex, loc: Loc = ()) -> Resolved:
    """Build the component of `kind` that `component` describes; reports all problems at once."""
    classes = index.classes[kind]
    if not isinstance(component, Mapping) or not isinstance(component.get("name"), str):
        msg = wrong(str(loc[-1]) if loc else kind, component, "an object with a name")
        return Resolved(None, [Problem(loc, msg)])
    name = component["name"]
    if name not in classes:
        msg = unknown(kind, name, list(classes))
        if kind == "dataset" and (written := described_folder(name, classes)):
            msg = f"no dataset {show(name)}; {written}"
        return Resolved(None, [Problem((*loc, "name"), msg)])
    given = {key: value for key, value in component.items() if key != "name"}
    return _make(name, classes[name], given, index, loc)


def describe(component: Any, name: str | None = None) -> dict[str, Any]:
    """The inverse of `resolve`: the name and every field, defaults included."""
    result: dict[str, Any] = {"name": name or _name(type(component))}
    for item in fields(component):
        value = getattr(component, item.name)
        result[item.name] = describe(value) if is_dataclass(value) else value
    return result


def _name(cls: type) -> str:
    return snake_name(cls) if issubclass(cls, Estimator) else catalogue_name(cls)


@cache
def nested(cls: type) -> dict[str, str]:
    """{field: kind} of the fields that hold a component."""
    kinds = {}
    for name, hint in get_type_hints(cls).items():
        options = [get_origin(o) or o for o in (hint, *get_args(hint))]
        for kind, described in KINDS.items():
            if any(isinstance(o, type) and issubclass(o, described.base) for o in options):
                kinds[name] = kind
    return {f.name: kinds[f.name] for f in fields(cls) if f.name in kinds}


def _make(name: str, cls: type, given: dict[str, Any], index: ComponentIndex, loc: Loc) -> Resolved:
    problems: list[Problem] = []
    for key, kind in nested(cls).items():
        if key in given and given[key] is not None:
            inner = resolve(kind, given[key], index, (*loc, key))
            problems += inner.problems
            given[key] = inner.value
    broken = {p.loc[len(loc)] for p in problems}
    try:
        value = _adapter(cls).validate_python(given)
    except ValidationError as error:
        allowed = [item.name for item in fields(cls)]
        problems += [
            at_named_field(Problem((*loc, *e["loc"]), sentence(e, allowed, name)), loc, cls)
            for e in error.errors()[:MAX_PROBLEMS]
            if not e["loc"] or e["loc"][0] not in broken
        ]
        return Resolved(None, problems)
    except (Exception, SystemExit) as error:  # a plug-in's own code
        msg = f"{name} cannot be made: {in_words(error, cls)}"
        return Resolved(None, [*problems, Problem(loc, msg)])
    problems += _not_finite(value, loc)
    return Resolved(None if problems else value, problems)


def at_named_field(problem: Problem, owner: Loc, cls: type) -> Problem:
    """A problem of the component `cls` at `owner`, at the field with whose name its message begins.

    What checks a whole component says which field does not fit (`rates has …`), not its place.
    """
    first = re.match(r"\w*", problem.msg)
    names = {item.name for item in fields(cls)}
    if problem.loc != owner or first is None or first[0] not in names:
        return problem
    return Problem((*owner, first[0]), problem.msg)


def in_words(error: BaseException, cls: type) -> str:
    """An error of a plug-in's code: what it says, and the line of the plug-in's file."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    said = lines[0].strip() if lines else ""
    if isinstance(error, ValueError) and said:
        text = said
    else:
        text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if "meta" in said:
        text += " (a layout is also made on torch's meta device, where tensors have no numbers)"
    file = Path(inspect.getfile(cls))
    own = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == file]
    return f"{text} ({file.name}, line {own[-1].lineno})" if own else text


@cache
def _adapter(cls: type) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def _not_finite(value: Any, loc: Loc) -> list[Problem]:
    numbers = {f.name: getattr(value, f.name) for f in fields(value)}
    return [
        Problem((*loc, name), wrong(name, number, "a finite number"))
        for name, number in numbers.items()
        if isinstance(number, float) and not isfinite(number)
    ]
