"""Whether every value of a sweep can be drawn at, told before anything is."""

from collections.abc import Iterator
from typing import Any

import torch

from backend.catalogue.validation import validate_with
from backend.config import Sweep
from backend.sentences import show
from backend.training.components.assemble import components, make_parts
from backend.training.components.index import ComponentIndex
from backend.training.components.resolve import resolve
from backend.training.microscope.varied_fields import BATCH_SIZE, NETWORK, described, of_network
from estimators.measurement.inputs.fields import has

Config = dict[str, Any]
Answer = dict[str, Any]


def swept(answer: Answer, sweep: Sweep, catalogue: ComponentIndex) -> tuple[Answer, list[Any]]:
    """The answer for those that have the field, and its values as the field's type has them.

    Where a value cannot be drawn at, errors at `sweep.field` or at `sweep.values` and its place.
    """
    config, field = answer["config"], sweep.field
    if not _there(config, field, catalogue):
        return _refused("field", _no_field(config, field)), []
    if field != BATCH_SIZE and of_network(field) is None:
        config = _having(config, field, catalogue)
        answer = validate_with(config, catalogue)
    values, made = [], []
    for place, value in enumerate(sweep.values):
        one = validate_with(_with(config, field, value), catalogue)
        if one["errors"]:
            return _refused("values", _told(one["errors"][0], answer, field, value), place), []
        found = _held(one["config"], field)
        if found in values:
            msg = f"{show(found)} comes twice; give each value once"
            return _refused("values", msg, place), []
        values.append(found)
        made.append(one["config"])
    if of_network(field) is not None and (same := _same(made, values, field, catalogue)):
        return _refused("field", same), []
    return answer, values


def _there(config: Config, field: str, catalogue: ComponentIndex) -> bool:
    name = of_network(field)
    if name is not None:
        return "." not in name and has(resolve("network", config["network"], catalogue).value, name)
    return field == BATCH_SIZE or bool(_having(config, field, catalogue))


def _held(config: Config, field: str) -> Any:
    own = field == BATCH_SIZE or of_network(field) is not None
    held = config if own else config["estimator"]
    for name in field.split("."):
        held = held[name]
    return held


def _with(config: Config, field: str, value: Any) -> Config:
    if field == BATCH_SIZE or of_network(field) is not None:
        return described(config, field, value)
    driver, *shadows = (described(e, field, value) for e in _estimators(config))
    return {**config, "estimator": driver, "shadows": shadows}


def _estimators(config: Config) -> list[Config]:
    return [config["estimator"], *config["shadows"]]


def _having(config: Config, field: str, catalogue: ComponentIndex) -> Config:
    """With those estimators alone that have the field; empty if none has."""
    found = [e for e in _estimators(config) if has(resolve("estimator", e, catalogue).value, field)]
    return {**config, "estimator": found[0], "shadows": found[1:]} if found else {}


def _no_field(config: Config, field: str) -> str:
    network = [NETWORK + name for name in _fields(config["network"])]
    if of_network(field) is not None:
        there = f"there are {', '.join(network)}" if network else "it has none"
        return f"the network {config['network']['name']} has no field {field!r}; {there}"
    estimators = sorted({name for e in _estimators(config) for name in _fields(e)})
    there = ", ".join([*estimators, BATCH_SIZE, *network])
    return f"no estimator here has a field {field!r}; there are {there}"


def _fields(component: Config, prefix: str = "") -> Iterator[str]:
    for name, value in component.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{prefix}{name}.")
        elif name != "name":
            yield prefix + name


def _told(error: dict[str, Any], answer: Answer, field: str, value: Any) -> str:
    """What is wrong at a value, which is named with who minds it, where the words do not."""
    msg, leaf = error["msg"], field.rpartition(".")[-1]
    if msg.startswith(f"{leaf} is "):
        return msg
    who = _minding(error["loc"], answer)
    who = "" if msg.startswith(who) else f", {who}"
    return f"with {leaf} {show(value)}{who}: {msg}"


def _minding(loc: list[Any], answer: Answer) -> str:
    match loc:
        case ["estimator", *_]:
            return answer["labels"]["driver"]
        case ["shadows", int(i), *_]:
            return answer["labels"]["shadows"][i]
    return ""


def _same(made: list[Config], values: list[Any], field: str, catalogue: ComponentIndex) -> str:
    """That two values give one network, where another field decides; "" where none do."""
    seen: dict[str, Any] = {}
    for config, value in zip(made, values, strict=True):
        layout = _layout(config, catalogue)
        if layout in seen:
            of, leaf = config["network"]["name"], field.removeprefix(NETWORK)
            return (
                f"{leaf} {show(seen[layout])} and {leaf} {show(value)} give the same {of}: "
                "another of its fields decides"
            )
        seen[layout] = value
    return ""


def _layout(config: Config, catalogue: ComponentIndex) -> str:
    """The network's stages in words, every size and kind."""
    made = make_parts(components(config), catalogue).made
    dataset, loss = made[("dataset",)], made[("loss",)]
    with torch.device("meta"):
        return repr(made[("network",)].layout(dataset.shape, loss.outputs(dataset)))


def _refused(where: str, msg: str, *place: int) -> Answer:
    errors = [{"loc": ["sweep", where, *place], "msg": msg}]
    return {"config": None, "labels": None, "plugins": None, "errors": errors}
