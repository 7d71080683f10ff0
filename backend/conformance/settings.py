"""The settings in which a component is tried, and what every component's class has to be."""

import dataclasses
import inspect
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, get_args, get_type_hints

from estimators.conformance.checks import is_frozen_setting
from estimators.conformance.settings import changes
from estimators.core.bounds import Ge, Gt, Le, Lt


class Settings(NamedTuple):
    """The settings of a class that can be made, and why others cannot."""

    made: dict[str, Any]
    """{the fields that are changed, in words: component}; "" are the defaults, the first."""
    refused: dict[str, str]
    """{the fields that are changed, in words: the error message}."""


def settings_of(cls: type) -> Settings:
    """The defaults, then settings with one field changed: a small count, every choice, a number.

    One that cannot be made by itself is tried with each of the others (Nesterov's momentum needs
    momentum).
    """
    settings = Settings({"": _default(cls)}, {})
    every = [*changes(cls), *_numbers(cls)]
    for changed in every:
        try:
            settings.made[_words(changed)] = cls(**changed)
        except ValueError as error:
            if not _make_with_another(cls, changed, every, settings):
                settings.refused[_words(changed)] = str(error)
    return settings


def _make_with_another(
    cls: type, changed: dict[str, Any], every: list[dict[str, Any]], settings: Settings
) -> bool:
    for other in every:
        with suppress(ValueError):
            both = {**other, **changed}
            settings.made[_words(both)] = cls(**both)
            return True
    return False


def _words(changed: dict[str, Any]) -> str:
    return ", ".join(f"{field}={value!r}" for field, value in changed.items())


def _numbers(cls: type) -> Iterator[dict[str, Any]]:
    """{field: another value} of the fields with a number that is no count: half of it, or ½."""
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        default: Any = field.default
        base, *bounds = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
        other = default / 2 if base is float and default else 0.5
        if base is float and all(_allows(bound, other) for bound in bounds):
            yield {field.name: other}


def _allows(bound: Any, value: float) -> bool:
    match bound:
        case Ge(low):
            return value >= low
        case Gt(low):
            return value > low
        case Le(high):
            return value <= high
        case Lt(high):
            return value < high
    return True  # a unit


def _default(cls: type) -> Any:
    missing = inspect.isabstract(cls) and sorted(cls.__abstractmethods__)
    assert not missing, f"{cls.__name__} lacks {', '.join(missing)}"
    dataclass = dataclasses.is_dataclass(cls)
    fields = dataclasses.fields(cls) if dataclass else ()
    required = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    assert not required, f"{cls.__name__} has fields without a default: {', '.join(required)}"
    component = cls()
    is_frozen_setting(component)
    return component


def describes_itself(cls: type) -> str:
    """What the form shows beside the name, in words."""
    help_text = inspect.getdoc(cls) or ""
    if not help_text or help_text.startswith(f"{cls.__name__}("):  # what dataclass writes itself
        return "no docstring: the form shows no help for it"
    return help_text.splitlines()[0]


def name_of(setting: str, name: str, sample: str = "") -> str:
    """A trial's name: `mlp(width=2) on images of 8×8`."""
    made = f"{name}({setting})" if setting else name
    return f"{made} on {sample}" if sample else made
