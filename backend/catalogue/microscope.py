"""Validation of a microscope request: its estimators, its sweep and its batches."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.catalogue.sweeps import resolve_sweep
from backend.catalogue.validation import validate_with
from backend.config import Microscope, Sweep
from backend.training.components.index import ComponentIndex, component_index
from backend.training.components.resolve import resolve

Error = dict[str, Any]


def validate_microscope(
    config: Mapping[str, Any], plugin_dirs: Sequence[Path | str] = ()
) -> dict[str, Any]:
    """`{config, labels, plugins, errors}` of a run's configuration with a `microscope`.

    The places of errors are those of the request: `estimators`, `sweep`. Estimators without the
    swept field are left out; at least one must have it.
    """
    index, request = component_index(plugin_dirs), Microscope.model_validate(config["microscope"])
    answer = validate_with({k: v for k, v in config.items() if k != "microscope"}, index)
    if not answer["errors"] and request.sweep:
        answer, values = resolve_sweep(answer, request.sweep, index)
        if not answer["errors"]:
            request.sweep = Sweep(field=request.sweep.field, values=values)
    if not answer["errors"] and request.anatomy:
        answer = _check_divisible(answer, index)
    if answer["errors"]:
        return {**answer, "errors": [_placed(error) for error in answer["errors"]]}
    request.fresh = _changed_plugins(answer, request.plugins, index)
    return {**answer, "config": {**answer["config"], "microscope": request.model_dump(mode="json")}}


def _check_divisible(answer: dict[str, Any], index: ComponentIndex) -> dict[str, Any]:
    """The answer, or an error if a batch has no smaller part to be compared with."""
    config = answer["config"]
    loss = resolve("loss", config["loss"], index).value
    size, smallest = config["batch_size"], 2 * loss.min_batch_size
    if size >= smallest:
        return answer
    msg = (
        f"an anatomy takes batches of at least {smallest} examples; the run's batch_size is {size}"
    )
    return {**answer, "config": None, "errors": [{"loc": ["anatomy"], "msg": msg}]}


def _placed(error: Error) -> Error:
    """The error at its place in the request, which has one list of estimators."""
    match error["loc"]:
        case ["estimator", *rest]:
            return {**error, "loc": ["estimators", 0, *rest]}
        case ["shadows", int(i), *rest]:
            return {**error, "loc": ["estimators", i + 1, *rest]}
    return error


def _changed_plugins(
    answer: dict[str, Any], before: Mapping[str, str], index: ComponentIndex
) -> list[str]:
    """Labels of the estimators whose plug-in file differs from `before`."""
    config = answer["config"]
    labels = [answer["labels"]["driver"], *answer["labels"]["shadows"]]
    changed = []
    for label, component in zip(labels, [config["estimator"], *config["shadows"]], strict=True):
        files = index.plugin_files([resolve("estimator", component, index).value])
        if any(before.get(plugin, sha) != sha for plugin, sha in files.items()):
            changed.append(label)
    return changed
