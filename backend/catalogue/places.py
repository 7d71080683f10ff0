"""Where in the form a problem belongs: beside the field that its sentence begins with."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from backend.training.components.resolve import Loc, Problem

PLACED = ("network", "estimator", "shadows")


def beside(problem: Problem, made: Mapping[Loc, Any]) -> Problem:
    """`problem` of the network or an estimator, at its field where it says `<field> is …`.

    A check of a whole component tells which of its fields does not fit, as every sentence on a
    value does, by its name first; the component itself knows no place.
    """
    if problem.loc[:1] not in {(kind,) for kind in PLACED}:
        return problem
    owner = problem.loc[:-1] if problem.loc[-1:] == ("name",) else problem.loc
    component = made.get(owner)
    named, verb, _ = problem.msg.partition(" is ")
    known = {item.name for item in fields(component)} if is_dataclass(component) else set()
    return Problem((*owner, named), problem.msg) if verb and named in known else problem
