"""Whether a configuration can run: every problem at once, each in a sentence, with its place."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from backend.catalogue.checks import check
from backend.catalogue.places import beside
from backend.catalogue.structure import read
from backend.config import COMPONENTS, RunConfig
from backend.training.components.assemble import Parts, make_parts
from backend.training.components.index import ComponentIndex, known
from backend.training.components.resolve import describe
from estimators.core.names import labels

LONGEST_NAME = 200


def validate(config: Mapping[str, Any], plugin_dirs: Sequence[Path | str] = ()) -> dict[str, Any]:
    """`{config, labels, plugins, errors}`: the configuration with every default written out.

    errors: `[{loc, msg}]`; where there are any, the others are None.
    """
    return validate_with(config, known(plugin_dirs))


def validate_with(config: Mapping[str, Any], known: ComponentIndex) -> dict[str, Any]:
    """`validate` against what is known already."""
    frame = read(config)
    parts = make_parts(frame.described, known)
    found = check(frame.run, parts)
    checked = [beside(p, parts.made) for p in found if p.loc[0] not in frame.broken]
    problems = [*frame.problems, *parts.problems, *checked]
    if frame.run is None or problems:
        errors = [{"loc": list(p.loc), "msg": p.msg} for p in problems]
        return {"config": None, "labels": None, "plugins": None, "errors": errors}
    return _answer(frame.run, parts, known)


def _answer(run: RunConfig, parts: Parts, known: ComponentIndex) -> dict[str, Any]:
    made = parts.made
    shadows = [made["shadows", i] for i in range(len(run.shadows))]
    estimators = [made[("estimator",)], *shadows]
    driver, *others = labels(estimators)
    config = run.model_dump(mode="json")
    config["name"] = run.name or f"{driver} on {run.dataset.name}"[:LONGEST_NAME]
    for kind in COMPONENTS:
        config[kind] = describe(made[(kind,)], getattr(run, kind).name)
    pairs = zip(shadows, run.shadows, strict=True)
    config["shadows"] = [describe(made, given.name) for made, given in pairs]
    return {
        "config": to_jsonable_python(config),
        "labels": {"driver": driver, "shadows": others},
        "plugins": known.files(estimators),
        "errors": [],
    }
