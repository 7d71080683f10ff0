"""A run's configuration or a study as YAML, without what is at its default."""

from collections.abc import Mapping
from textwrap import indent
from typing import Any

import yaml
from pydantic import BaseModel

from backend.config import RunConfig

ALWAYS = ("name", "dataset", "network", "estimator", "optimizer", "batch_size", "seed")
"""Parts that are written whatever they are."""
FAMILIES = {
    "dataset": "datasets",
    "loss": "losses",
    "network": "networks",
    "estimator": "estimators",
    "optimizer": "optimizers",
}
"""The catalogue's list of each part that is a component."""
WIDTH = 88
"""Characters of a line, where it can be broken."""


def _default(name: str) -> Any:
    field = RunConfig.model_fields[name]
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    return value.model_dump() if isinstance(value, BaseModel) else value


DEFAULTS = {name: _default(name) for name in RunConfig.model_fields}
"""{part: its default}; components without the fields that they leave out."""


class _Dumper(yaml.SafeDumper):
    """Writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def written(document: Mapping[str, Any], catalogue: Mapping[str, Any]) -> str:
    """The YAML of a run's configuration or of a study, which reads back as the same."""
    if "base" not in document:
        return _entries(compact(document, catalogue))
    base = indent(_entries(compact(document["base"], catalogue)), "  ")
    rest = {key: value for key, value in document.items() if key not in ("name", "base")}
    return f"{_entry('name', document['name'])}base:\n{base}{_entries(rest)}"


def compact(config: Mapping[str, Any], catalogue: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without the fields that have their default."""
    short: dict[str, Any] = {}
    for key, value in config.items():
        if key in FAMILIES:
            part = _component(value, FAMILIES[key], catalogue)
        elif key == "shadows" and isinstance(value, list):
            part = [_component(each, "estimators", catalogue) for each in value]
        elif key == "probe" and isinstance(value, Mapping):
            part = {k: v for k, v in value.items() if v != DEFAULTS["probe"].get(k)}
        else:
            part = value
        default = part == DEFAULTS.get(key) or value == DEFAULTS.get(key) or part == {}
        if key in ALWAYS or not default:
            short[key] = part
    return short


def _component(value: Any, family: str, catalogue: Mapping[str, Any]) -> Any:
    """A component without its defaults, components in its fields likewise."""
    name = value.get("name") if isinstance(value, Mapping) else None
    entry = next((each for each in catalogue.get(family, ()) if each["name"] == name), None)
    if entry is None:
        return value
    schema = entry["schema"]["properties"]
    short: dict[str, Any] = {"name": name}
    for key, given in value.items():
        field = schema.get(key, {})
        if key != "name" and not ("default" in field and given == field["default"]):
            nested = field.get("component")
            short[key] = _component(given, nested, catalogue) if nested else given
    return short


def _entries(document: Mapping[str, Any]) -> str:
    return "".join(_entry(key, value) for key, value in document.items())


def _entry(key: str, value: Any) -> str:
    """One part of a document: in one line if that is short, else a line for each of its own."""
    line = _yaml({key: value}, flow=True, width=10**6).strip()[1:-1]
    if len(line) <= WIDTH or not isinstance(value, dict | list):
        return f"{line}\n"
    return _yaml({key: value}, flow=None, width=WIDTH)


def _yaml(value: Any, *, flow: bool | None, width: int) -> str:
    options = {"sort_keys": False, "allow_unicode": True, "width": width}
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=flow, **options)
