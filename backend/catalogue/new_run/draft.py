"""`inspect_draft`: what is to be said of a configuration that is being written."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from backend.catalogue.new_run.adaptation import adapted
from backend.catalogue.new_run.suitability import (
    Surroundings,
    suitable,
    surroundings_of,
    title,
    why_not_estimator,
)
from backend.catalogue.resource_limits import room_on
from backend.catalogue.shared_chains import module_of
from backend.catalogue.validation import validate_with
from backend.training.components.index import ComponentIndex, component_index

Config = Mapping[str, Any]
_ADVICE = re.compile(r"(: (put|make) [^:;]*)?(; networks that [^;]*)?$")
"""What a message advises to whoever writes the network, and names as other networks: the remedies
take its place."""
MOST_REMEDIES = 2
"""Of one problem, beside the one that takes a shadow away."""


def inspect_draft(
    configs: Sequence[Config], chosen: str = "", plugin_dirs: Sequence[Path | str] = ()
) -> dict[str, Any]:
    """What a draft is found to be.

    `configs` is the draft at each combination of its values, and `chosen` the part that was chosen
    last, which others may have to follow. The answer has

    - `changes`, `said`: the parts that follow the choice, and a sentence for each;
    - `problems`: `{loc, msg, remedies}` of all combinations, after these changes. A remedy has a
      `text` for a button and the `changes` that it makes;
    - `config`, `labels`: of the first combination, with every default; None if it is not valid;
    - `weights`, `layers`, `steps`: numbers of the network and of its training; None if unknown.
    """
    room_on.cache_clear()
    index = component_index(plugin_dirs)
    changes, said = adapted(configs[0], chosen, index)
    changed = [{**config, **changes} for config in configs]
    answers = [validate_with(config, index) for config in changed]
    first = answers[0]
    return {
        "changes": changes,
        "said": said,
        "problems": _problems(changed, answers, index),
        "config": first["config"],
        "labels": first["labels"],
        **_size(changed[0], first["config"], index),
    }


def _problems(
    configs: Sequence[Config], answers: Sequence[Mapping[str, Any]], index: ComponentIndex
) -> list[dict[str, Any]]:
    """Each problem once, whichever combinations have it."""
    problems: dict[str, dict[str, Any]] = {}
    for config, answer in zip(configs, answers, strict=True):
        for error in answer["errors"]:
            key = repr((error["loc"], error["msg"]))
            if key not in problems:
                remedies = _remedies(config, error["loc"], index)
                msg = _ADVICE.sub("", error["msg"]) if remedies else error["msg"]
                problems[key] = {**error, "msg": msg, "remedies": remedies}
    return [*problems.values()]


def _size(config: Config, valid: Config | None, index: ComponentIndex) -> dict[str, Any]:
    around, _ = surroundings_of(config, index)
    size: dict[str, Any] = {"weights": None, "layers": None, "steps": None}
    if around is None:
        return size
    if around.network is not None:
        with suppress(Exception, SystemExit):  # a plug-in's own code; its problem is told elsewhere
            module = module_of(around.network, around.dataset, around.loss)
            size["weights"] = sum(p.numel() for p in module.parameters())
            size["layers"] = sum(1 for part in module if any(True for _ in part.parameters()))
    if valid is not None:
        per_epoch = around.dataset.training_examples // valid["batch_size"]
        size["steps"] = valid["steps"] or round(valid["epochs"] * per_epoch)
    return size


def _remedies(config: Config, loc: Sequence[Any], index: ComponentIndex) -> list[dict[str, Any]]:
    """Changes after which a problem at `loc` should be gone."""
    around, made = surroundings_of(config, index)
    if around is None or not loc:
        return []
    if loc[0] == "shadows" and len(loc) > 1:
        rest = [shadow for i, shadow in enumerate(config["shadows"]) if i != loc[1]]
        remove = {"text": "Leave this shadow out", "changes": {"shadows": rest}}
        estimator = made.get(("shadows", loc[1]))
        return [remove, *_networks_for(estimator, around, index)] if loc[-1] == "name" else [remove]
    if loc[0] == "estimator" and loc[-1] == "name":
        others = _others("estimator", "Drive by", around, index)
        networks = _networks_for(made.get(("estimator",)), around, index)
        return [*others, *networks] if around.dataset.own_network else [*networks, *others]
    if loc[0] in ("network", "loss") and len(loc) == 1:
        return _others(loc[0], "Use", around, index)
    return []


def _others(
    kind: str, verb: str, around: Surroundings, index: ComponentIndex
) -> list[dict[str, Any]]:
    return [
        {"text": f"{verb} {title(kind, name, index)}", "changes": {kind: {"name": name}}}
        for name in islice(suitable(kind, around, index), MOST_REMEDIES)
    ]


def _networks_for(
    estimator: Any, around: Surroundings, index: ComponentIndex
) -> list[dict[str, Any]]:
    """The networks that take the data and serve an estimator."""
    if estimator is None:
        return []
    classes = {n: e.cls for n, e in index.discovery.entries["network"].items()}
    serving = (
        name
        for name in suitable("network", around, index)
        if not why_not_estimator(estimator, around._replace(network=classes[name]()))
    )
    fit = [*islice(serving, MOST_REMEDIES)]
    words = {name: title("network", name, index) for name in fit}
    return [
        {"text": f"Use the network {words[name]}", "changes": {"network": {"name": name}}}
        for name in fit
    ]
