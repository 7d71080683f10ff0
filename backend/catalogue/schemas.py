"""JSON schemas of components: the form, the CLI and the documentation are drawn from them."""

from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema, to_jsonable_python

from backend.training.components.resolve import describe, nested

_TITLES = {"lr": "Learning rate", "eps": "ε", "beta1": "β₁", "beta2": "β₂"}


class _Generator(GenerateJsonSchema):
    """A field that holds another component is an object; which, `schema_of` adds."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        return {"type": "object"}


def schema_of(cls: type) -> dict[str, Any]:
    """Its properties with title, description, default, bounds and unit.

    A property that holds a component has `component`: the catalogue's list to choose from.
    """
    schema = TypeAdapter(cls).json_schema(schema_generator=_Generator)
    properties = schema.setdefault("properties", {})
    defaults = to_jsonable_python(describe(cls()))
    for item in fields(cls):
        entry = properties[item.name]
        entry["title"] = _TITLES.get(item.name, item.name.replace("_", " ").capitalize())
        entry["default"] = defaults[item.name]
        entry.setdefault("description", "")
    for name, kind in nested(cls).items():
        properties[name]["component"] = f"{kind}s"
    return schema
