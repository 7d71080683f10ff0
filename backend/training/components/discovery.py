"""`find`: the component classes that the modules of a package define.

A new data set, network, loss, optimiser or schedule is one file with one frozen dataclass that
derives from the package's contract. Its catalogue name is the class name in snake_case.
"""

import importlib
import pkgutil
import re
from dataclasses import is_dataclass
from functools import cache
from inspect import isabstract
from types import ModuleType
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")


class Configurable:
    """Base of all components: unknown fields are errors, and field docstrings are the help text."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
        "arbitrary_types_allowed": True,
    }

    title: ClassVar[str] = ""
    """The name in the field's literature; empty if it is the class name in words."""


def snake_case(name: str) -> str:
    """`TwoMoons` -> `two_moons`, `AdamW` -> `adamw`, `CNN` -> `cnn`, `ResNet` -> `resnet`."""
    if re.fullmatch(r"[A-Z]+|[A-Z][a-z]+([A-Z]|Net)", name):
        return name.lower()
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def catalogue_name(cls: type) -> str:
    """The name of a component that is no estimator: its class name in snake_case."""
    return snake_case(cls.__name__)


@cache
def find(package: str, base: type[T]) -> dict[str, type[T]]:
    """Concrete dataclasses below `base` in the modules of `package`, by catalogue name.

    `package` is a package's own `__name__`.
    """
    classes = {}
    for module in _modules(importlib.import_module(package)):
        for value in vars(module).values():
            if _is_component(value, base) and value.__module__ == module.__name__:
                classes[catalogue_name(value)] = value
    return dict(sorted(classes.items()))


def _modules(package: ModuleType) -> list[ModuleType]:
    names = [m.name for m in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    return [importlib.import_module(name) for name in sorted(names)]


def _is_component(value: Any, base: type) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, base)
        and is_dataclass(value)
        and not isabstract(value)
    )
