"""Whether a microscope can be set up: its estimators and what it sweeps over."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.catalogue.sweeps import swept
from backend.catalogue.validation import validate_with
from backend.config import Microscope, Sweep
from backend.training.components.index import ComponentIndex, known
from backend.training.components.resolve import resolve

Error = dict[str, Any]


def validate_microscope(
    config: Mapping[str, Any], plugin_dirs: Sequence[Path | str] = ()
) -> dict[str, Any]:
    """`{config, labels, plugins, errors}` of a run's configuration with a `microscope`.

    Errors are placed as in a request: `estimators`, `sweep`. Estimators without the swept field
    are left out; one must have it.
    """
    catalogue, of = known(plugin_dirs), Microscope.model_validate(config["microscope"])
    answer = validate_with({k: v for k, v in config.items() if k != "microscope"}, catalogue)
    if not answer["errors"] and of.sweep:
        answer, values = swept(answer, of.sweep, catalogue)
        if not answer["errors"]:
            of.sweep = Sweep(field=of.sweep.field, values=values)
    if not answer["errors"] and of.anatomy:
        answer = _divisible(answer, catalogue)
    if answer["errors"]:
        return {**answer, "errors": [_placed(e) for e in answer["errors"]]}
    of.fresh = _fresh(answer, of.plugins, catalogue)
    return {**answer, "config": {**answer["config"], "microscope": of.model_dump(mode="json")}}


def _divisible(answer: dict[str, Any], catalogue: ComponentIndex) -> dict[str, Any]:
    """The answer, or an error where a batch has no smaller part to be compared with."""
    config = answer["config"]
    loss = resolve("loss", config["loss"], catalogue).value
    size, least = config["batch_size"], 2 * loss.least
    if size >= least:
        return answer
    msg = f"an anatomy takes batches of at least {least} examples; the run's batch_size is {size}"
    return {**answer, "config": None, "errors": [{"loc": ["anatomy"], "msg": msg}]}


def _placed(error: Error) -> Error:
    match error["loc"]:
        case ["estimator", *rest]:
            return {**error, "loc": ["estimators", 0, *rest]}
        case ["shadows", int(i), *rest]:
            return {**error, "loc": ["estimators", i + 1, *rest]}
    return error


def _fresh(
    answer: dict[str, Any], before: Mapping[str, str], catalogue: ComponentIndex
) -> list[str]:
    """Labels of those that come from a file that has changed since."""
    config = answer["config"]
    labels = [answer["labels"]["driver"], *answer["labels"]["shadows"]]
    found = []
    for name, one in zip(labels, [config["estimator"], *config["shadows"]], strict=True):
        files = catalogue.files([resolve("estimator", one, catalogue).value])
        if any(before.get(plugin, sha) != sha for plugin, sha in files.items()):
            found.append(name)
    return found
