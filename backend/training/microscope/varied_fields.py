"""The fields that a sweep varies: whose they are, and a description with another value of one."""

from collections.abc import Mapping
from typing import Any

BATCH_SIZE = "batch_size"
"""The one swept field that is the run's own and no component's."""
NETWORK = "network."
"""What the swept fields of the network begin with; all others are the estimators'."""


def of_network(field: str) -> str | None:
    """The network's field that `network.width` names, `width`; None for other fields."""
    return field.removeprefix(NETWORK) if field.startswith(NETWORK) else None


def described(component: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The description, `{name: …, field: value, …}`, with another value of a field."""
    name, _, rest = path.partition(".")
    held = component.get(name)
    new = described(held, rest, value) if rest and isinstance(held, Mapping) else value
    return {**component, name: new}
