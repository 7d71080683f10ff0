"""Bounds and units of hyperparameters, written `Annotated[int, Ge(1), Unit("draws")]`, and with
which other choices one is used.

They are plain frozen dataclasses. Pydantic, where it is installed, reads them through the two
`__get_pydantic_*__` hooks, which do not import it: a schema is a plain dict.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]
_CONSTRAINTS = ("ge", "gt", "le", "lt")


@dataclass(frozen=True)
class _Bound:
    value: float

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Schema]) -> Schema:
        key = type(self).__name__.lower()
        return {**handler(source), key: self.value}


class Ge(_Bound):
    """At least `value`."""


class Gt(_Bound):
    """More than `value`."""


class Le(_Bound):
    """At most `value`."""


class Lt(_Bound):
    """Less than `value`."""


@dataclass(frozen=True)
class Unit:
    """The unit in which a field is given, shown beside its control."""

    name: str

    def __get_pydantic_json_schema__(
        self, schema: Schema, handler: Callable[[Schema], Schema]
    ) -> Schema:
        return {**handler(schema), "unit": self.name}


@dataclass(frozen=True, init=False)
class UsedIf:
    """A field is used only if one of the named other fields has one of its values:
    `UsedIf(guess="estimator")`, `UsedIf(target=("local", "look_ahead"), guess="local")`.

    Of several, each must hold. A form leaves a field out while it is not used; a configuration may
    hold it all the same.
    """

    where: tuple[tuple[str, tuple[str, ...]], ...]
    """Each of the other fields, and the values with which this one is used."""

    def __init__(self, **where: str | tuple[str, ...]) -> None:
        pairs = ((name, (v,) if isinstance(v, str) else v) for name, v in where.items())
        object.__setattr__(self, "where", tuple(pairs))

    def __get_pydantic_json_schema__(
        self, schema: Schema, handler: Callable[[Schema], Schema]
    ) -> Schema:
        described = handler(schema)
        own = {name: list(values) for name, values in self.where}
        return {**described, "used_if": [*described.get("used_if", []), own]}
