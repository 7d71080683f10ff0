"""Variants of a component: the same but for one field, or a field of one that it holds."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")
BATCH_SIZE = "batch_size"
"""The one swept field that is the run's own and no component's."""
NETWORK = "network."
"""What the swept fields of the network begin with; all others are the estimators'."""


def of_network(field: str) -> str | None:
    """The network's field that `network.width` names, `width`; None for other fields."""
    return field.removeprefix(NETWORK) if field.startswith(NETWORK) else None


def has(component: Any, path: str) -> bool:
    """Whether there is a field of that name: `tangents`, or `inner.tangents` of a held one."""
    name, _, rest = path.partition(".")
    if not is_dataclass(component) or name not in {f.name for f in fields(component)}:
        return False
    return not rest or has(getattr(component, name), rest)


def vary(component: T, path: str, value: Any) -> T:
    """The component with another value of a field that it has."""
    name, _, rest = path.partition(".")
    held = getattr(component, name)
    new = vary(held, rest, value) if rest else value
    if isinstance(held, float) and type(new) is int:
        new = float(new)  # as validation makes of it
    return replace(component, **{name: new})  # type: ignore[type-var]


def described(component: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The same of a description, `{name: …, field: value, …}`, as it is validated."""
    name, _, rest = path.partition(".")
    held = component.get(name)
    new = described(held, rest, value) if rest and isinstance(held, Mapping) else value
    return {**component, name: new}
