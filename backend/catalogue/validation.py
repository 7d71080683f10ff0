"""`validate`: whether a configuration can run; every problem at once, each with its place."""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from backend.catalogue.component_checks import check, driver_cost
from backend.catalogue.resource_limits import room_on
from backend.catalogue.structure_checks import read
from backend.config import COMPONENTS, MAX_NAME_LENGTH, RunConfig
from backend.training.components.assemble import Parts, make_parts
from backend.training.components.index import ComponentIndex, component_index
from backend.training.components.resolve import Loc, Problem, at_named_field, describe
from estimators.core.names import labels


def validate(config: Mapping[str, Any], plugin_dirs: Sequence[Path | str] = ()) -> dict[str, Any]:
    """`{config, labels, plugins, cost, errors}`: the configuration with every default written out.

    `cost` is what one estimate of the driver is worth, in forward passes. `errors` is a list of
    `{loc, msg}`; if there are any, the others are None.
    """
    room_on.cache_clear()
    return validate_with(config, component_index(plugin_dirs))


def validate_all(
    configs: Sequence[Any], plugin_dirs: Sequence[Path | str] = ()
) -> list[dict[str, Any]]:
    """`validate` of each configuration, which is faster than one after the other.

    The plug-ins are loaded once, and what the configurations have in common is checked once.
    """
    room_on.cache_clear()
    index = component_index(plugin_dirs)
    return [validate_with(config, index) for config in configs]


def validate_with(config: Mapping[str, Any], index: ComponentIndex) -> dict[str, Any]:
    """`validate` with an index that exists already."""
    parsed = read(config)
    parts = make_parts(parsed.described, index)
    conflicts = check(parsed.run, parts)
    checked = [at_field(p, parts.made) for p in conflicts if p.loc[0] not in parsed.broken]
    problems = [*parsed.problems, *parts.problems, *checked]
    if parsed.run is None or problems:
        errors = [{"loc": list(p.loc), "msg": p.msg} for p in problems]
        return {"config": None, "labels": None, "plugins": None, "cost": None, "errors": errors}
    return _answer(parsed.run, parts, index)


def at_field(problem: Problem, made: Mapping[Loc, Any]) -> Problem:
    """The problem at the field that its message begins with: `<field> is …`.

    The check of a whole component names the field that does not fit, but not its place.
    """
    owner = problem.loc[:-1] if problem.loc[-1:] == ("name",) else problem.loc
    component = made.get(owner)
    if not is_dataclass(component):
        return problem
    found = at_named_field(Problem(owner, problem.msg), owner, type(component))
    return problem if found.loc == owner else found


def _answer(run: RunConfig, parts: Parts, index: ComponentIndex) -> dict[str, Any]:
    made = parts.made
    shadows = [made["shadows", i] for i in range(len(run.shadows))]
    estimators = [made[("estimator",)], *shadows]
    driver, *others = labels(estimators)
    config = run.model_dump(mode="json")
    config["name"] = run.name or f"{driver} on {run.dataset.name}"[:MAX_NAME_LENGTH]
    for kind in COMPONENTS:
        config[kind] = describe(made[(kind,)], getattr(run, kind).name)
    pairs = zip(shadows, run.shadows, strict=True)
    config["shadows"] = [describe(shadow, given.name) for shadow, given in pairs]
    return {
        "config": to_jsonable_python(config),
        "labels": {"driver": driver, "shadows": others},
        "plugins": index.plugin_files(made.values()),
        "cost": driver_cost(parts),
        "errors": [],
    }
