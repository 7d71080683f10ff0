"""Validation of a sweep: the swept field exists, and every value gives a valid configuration."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from backend.catalogue.validation import validate_with
from backend.config import BATCH_SIZE, NETWORK_PREFIX, Sweep
from backend.sentences import show
from backend.training.components.assemble import components, make_parts
from backend.training.components.index import ComponentIndex
from backend.training.components.resolve import resolve
from estimators.measurement.inputs.fields import has

Config = dict[str, Any]
Answer = dict[str, Any]


def resolve_sweep(answer: Answer, sweep: Sweep, index: ComponentIndex) -> tuple[Answer, list[Any]]:
    """The answer for the estimators that have the field, and the values as the field's type.

    If a value is not valid, the answer has errors at `sweep.field` or at `sweep.values` and the
    value's place.
    """
    config = answer["config"]
    if not _has_field(config, sweep, index):
        return _refused("field", _no_such_field(config, sweep)), []
    if not _belongs_to_run(sweep):
        config = _with_estimators_of_field(config, sweep.field, index)
        answer = validate_with(config, index)
    values, configs = [], []
    for place, value in enumerate(sweep.values):
        varied = validate_with(_with_value(config, sweep, value), index)
        if varied["errors"]:
            msg = _message(varied["errors"][0], answer, sweep.field, value)
            return _refused("values", msg, place), []
        resolved = _value_of(varied["config"], sweep)
        if resolved in values:
            msg = f"{show(resolved)} comes twice; give each value once"
            return _refused("values", msg, place), []
        values.append(resolved)
        configs.append(varied["config"])
    network = sweep.network_field
    if network is not None and (msg := _same_network(configs, values, network, index)):
        return _refused("field", msg), []
    return answer, values


def described(component: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The description `{name: …, field: value, …}` with another value of the field at `path`."""
    name, _, rest = path.partition(".")
    inner = component.get(name)
    new = described(inner, rest, value) if rest and isinstance(inner, Mapping) else value
    return {**component, name: new}


def _belongs_to_run(sweep: Sweep) -> bool:
    """Whether the field is the batch size or the network's, not an estimator's."""
    return sweep.field == BATCH_SIZE or sweep.network_field is not None


def _has_field(config: Config, sweep: Sweep, index: ComponentIndex) -> bool:
    name = sweep.network_field
    if name is not None:
        return "." not in name and has(resolve("network", config["network"], index).value, name)
    return sweep.field == BATCH_SIZE or bool(_with_estimators_of_field(config, sweep.field, index))


def _value_of(config: Config, sweep: Sweep) -> Any:
    value: Any = config if _belongs_to_run(sweep) else config["estimator"]
    for name in sweep.field.split("."):
        value = value[name]
    return value


def _with_value(config: Config, sweep: Sweep, value: Any) -> Config:
    if _belongs_to_run(sweep):
        return described(config, sweep.field, value)
    driver, *shadows = (described(e, sweep.field, value) for e in _estimators(config))
    return {**config, "estimator": driver, "shadows": shadows}


def _estimators(config: Config) -> list[Config]:
    return [config["estimator"], *config["shadows"]]


def _with_estimators_of_field(config: Config, field: str, index: ComponentIndex) -> Config:
    """The configuration with those estimators alone that have the field; {} if none has."""
    kept = [e for e in _estimators(config) if has(resolve("estimator", e, index).value, field)]
    return {**config, "estimator": kept[0], "shadows": kept[1:]} if kept else {}


def _no_such_field(config: Config, sweep: Sweep) -> str:
    network = [NETWORK_PREFIX + name for name in _fields(config["network"])]
    if sweep.network_field is not None:
        available = f"there are {', '.join(network)}" if network else "it has none"
        return f"the network {config['network']['name']} has no field {sweep.field!r}; {available}"
    estimators = sorted({name for e in _estimators(config) for name in _fields(e)})
    available = ", ".join([*estimators, BATCH_SIZE, *network])
    return f"no estimator here has a field {sweep.field!r}; there are {available}"


def _fields(component: Config, prefix: str = "") -> Iterator[str]:
    for name, value in component.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{prefix}{name}.")
        elif name != "name":
            yield prefix + name


def _message(error: dict[str, Any], answer: Answer, field: str, value: Any) -> str:
    """The problem of a value; names the value and the estimator unless the message does."""
    msg, leaf = error["msg"], field.rpartition(".")[-1]
    if msg.startswith(f"{leaf} is "):
        return msg
    label = _label_at(error["loc"], answer)
    label = "" if msg.startswith(label) else f", {label}"
    return f"with {leaf} {show(value)}{label}: {msg}"


def _label_at(loc: list[Any], answer: Answer) -> str:
    match loc:
        case ["estimator", *_]:
            return answer["labels"]["driver"]
        case ["shadows", int(i), *_]:
            return answer["labels"]["shadows"][i]
    return ""


def _same_network(
    configs: list[Config], values: list[Any], field: str, index: ComponentIndex
) -> str:
    """An error message if two values give the same network, because another field decides."""
    seen: dict[str, Any] = {}
    for config, value in zip(configs, values, strict=True):
        layout = _layout(config, index)
        if layout in seen:
            network = config["network"]["name"]
            return (
                f"{field} {show(seen[layout])} and {field} {show(value)} give the same {network}: "
                "another of its fields decides"
            )
        seen[layout] = value
    return ""


def _layout(config: Config, index: ComponentIndex) -> str:
    """The network's stages with every size and kind, as text."""
    made = make_parts(components(config), index).made
    dataset, loss = made[("dataset",)], made[("loss",)]
    with torch.device("meta"):
        return repr(made[("network",)].layout(dataset.shape, loss.outputs(dataset)))


def _refused(key: str, msg: str, *place: int) -> Answer:
    errors = [{"loc": ["sweep", key, *place], "msg": msg}]
    return {"config": None, "labels": None, "plugins": None, "errors": errors}
