"""Entries of the catalogue: a component's title, summary, documentation and JSON schema."""

import inspect
import sys
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema, to_jsonable_python

from backend.data_folders.folders import DataError
from backend.training.components.resolve import describe, nested
from backend.training.datasets import Dataset
from backend.training.datasets.digits import Digits
from backend.training.datasets.two_moons import TwoMoons
from backend.training.networks.contract import Network
from backend.training.networks.implicit_network import ImplicitNetwork
from backend.training.networks.mlp import MLP
from estimators.core.contract import Estimator, UnsupportedError
from estimators.core.names import words_of
from estimators.core.objective import Chain
from estimators.registry import Entry

_TITLES = {"lr": "Learning rate", "eps": "ε", "beta1": "β₁", "beta2": "β₂"}
"""Titles of fields that differ from their names in words."""


def describe_entry(name: str, entry: Entry, family: str) -> dict[str, Any]:
    """The catalogue's entry of a component; `family` is the list that it stands in.

    An estimator's has its claim and its needs as well.
    """
    cls, builtin = entry.cls, entry.kind == "builtin"
    source = {"kind": entry.kind, "file": entry.file, "hash": entry.sha256}
    if issubclass(cls, Estimator) and builtin:
        family = _family(cls)
    described = _entry(name, cls, family if builtin else entry.kind, source)
    return {**described, **_properties(cls)}


def _properties(cls: type) -> dict[str, Any]:
    """What is said of a component of this kind beside its fields."""
    if issubclass(cls, Estimator):
        needs = [{"name": need.name.lower(), "text": need.value} for need in cls().needs()]
        return {"claim": claim_of(cls), "needs": needs}
    if issubclass(cls, Dataset):
        return {"separate_test": cls.separate_test, "classified": cls.classified}
    if issubclass(cls, Network):
        implicit = issubclass(cls, ImplicitNetwork)
        return {"has_equilibrium": implicit, "inferred": _inferred(cls)}
    return {}


def _inferred(cls: type[Network]) -> list[str]:
    """What the lab has worked out of a network, on the first built-in data that it takes."""
    for dataset in (Digits(), TwoMoons()):
        try:
            return [*cls().inferred(dataset.shape, dataset.classes)]
        except (Exception, SystemExit):  # a plug-in's own code, which need not take this data set
            continue
    return []


def _family(cls: type[Estimator]) -> str:
    """The family of a method: the docstring of its package, up to the colon."""
    package = sys.modules[cls.__module__.rpartition(".")[0]]
    return inspect.cleandoc(package.__doc__ or "").partition(":")[0]


def claim_of(cls: type[Estimator]) -> str:
    """exact, unbiased or biased on a small reference network; depends if a field decides."""
    claims = set()
    for choice in _choices(cls):
        with suppress(UnsupportedError):  # a choice that the reference network does not serve
            claims.add(cls(**choice).claim(_reference()))
    return claims.pop().name.lower() if len(claims) == 1 else "depends"


def title_of(cls: type) -> str:
    """Its own title; else `ForwardGradient` -> "Forward gradient", `MLP` unchanged."""
    own = vars(cls).get("title", "")
    if own and "title" not in cls.__dataclass_fields__:
        return own
    first, *others = words_of(cls)
    if len(others) == 1 and len(others[0]) == 1:  # AdamW
        return cls.__name__
    return " ".join([first, *(w if w.isupper() else w.lower() for w in others)])


def _entry(name: str, cls: type, family: str, source: dict[str, str]) -> dict[str, Any]:
    doc = _prose(cls)
    return {
        "name": name,
        "title": title_of(cls),
        "summary": " ".join(doc.split("\n\n")[0].split()),
        "doc": doc,
        "family": family,
        "schema": schema_of(cls),
        "source": source,
    }


def _prose(cls: type) -> str:
    """The class's docstring without its example; a short one is followed by the module's."""
    own = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    paragraphs = [text for text in own.split("\n\n") if not text.startswith("Example:")]
    if len(paragraphs) == 1:
        paragraphs.append(inspect.cleandoc(sys.modules[cls.__module__].__doc__ or ""))
    return "\n\n".join(paragraphs).strip()


def _choices(cls: type) -> list[dict[str, Any]]:
    """The default fields, and each option of each field that is a choice."""
    hints = get_type_hints(cls)
    choices: list[dict[str, Any]] = [{}]
    for item in fields(cls):
        if get_origin(hints[item.name]) is Literal:
            choices += [{item.name: option} for option in get_args(hints[item.name])]
    return choices


@cache
def _reference() -> Chain:
    module = MLP(width=3, depth=2).build((2,), 2, torch.Generator().manual_seed(0))
    return Chain(module, torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))


def _own_first(cls: type, properties: dict[str, Any]) -> dict[str, Any]:
    """The properties in the order of the form, with the descriptions of inherited fields.

    pydantic reads the docstrings of fields in the source of the class itself alone.
    """
    own = vars(cls).get("__annotations__", {})
    inherited = {
        name: schema["description"]
        for base in reversed(cls.__mro__[1:])
        if is_dataclass(base)
        for name, schema in TypeAdapter(base).json_schema().get("properties", {}).items()
        if schema.get("description")
    }
    ordered = sorted(properties, key=lambda name: name not in own)
    return {
        name: {
            **({"description": inherited[name]} if name in inherited else {}),
            **properties[name],
        }
        for name in ordered
    }


class _Generator(GenerateJsonSchema):
    """Describes a field that holds a component as an object; `schema_of` adds its kind."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        return {"type": "object"}


def _with_defaults(cls: type) -> Any:
    """The component with its defaults, also where the files of the first data set are broken: the
    form must still offer the others."""
    try:
        return cls()
    except DataError:
        bare = object.__new__(cls)
        for item in fields(cls):
            default = item.default if item.default is not MISSING else item.default_factory()  # type: ignore[misc]
            object.__setattr__(bare, item.name, default)
        return bare


def schema_of(cls: type) -> dict[str, Any]:
    """The JSON schema of a component's fields: title, description, default, bounds and unit.

    The fields that the class declares itself come before those that it inherits. A property that
    holds a component has `component`: the catalogue's list to choose from.
    """
    schema = TypeAdapter(cls).json_schema(schema_generator=_Generator)
    properties = _own_first(cls, schema.get("properties", {}))
    schema["properties"] = properties
    defaults = to_jsonable_python(describe(_with_defaults(cls)))
    for item in fields(cls):
        entry = properties[item.name]
        entry["title"] = _TITLES.get(item.name, item.name.replace("_", " ").capitalize())
        entry["default"] = defaults[item.name]
        entry.setdefault("description", "")
    for name, kind in nested(cls).items():
        properties[name]["component"] = f"{kind}s"
    return schema
