"""The fields of an estimator: held to what they declare, and varied one at a time."""

from dataclasses import fields, is_dataclass, replace
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from estimators.core.bounds import Ge, Gt, Le, Lt
from estimators.core.contract import Estimator
from estimators.core.names import snake_name

T = TypeVar("T")
_BOUNDS = {
    Ge: ("at least", lambda x, bound: x >= bound),
    Gt: ("more than", lambda x, bound: x > bound),
    Le: ("at most", lambda x, bound: x <= bound),
    Lt: ("less than", lambda x, bound: x < bound),
}


def validate(estimator: Estimator) -> None:
    """Hold every field, and those of held estimators, to its type and bounds. Raises ValueError."""
    hints = get_type_hints(type(estimator), include_extras=True)
    for field in fields(estimator):  # type: ignore[arg-type]
        value, hint = getattr(estimator, field.name), hints[field.name]
        bounds: list[Any] = []
        if get_origin(hint) is Annotated:
            hint, *bounds = get_args(hint)
        allowed = _allowed(value, hint, [one for one in bounds if type(one) in _BOUNDS])
        if allowed:
            name = snake_name(type(estimator))
            raise ValueError(f"{field.name} of {name} is {value!r}; {allowed} is allowed")
        if isinstance(value, Estimator):
            validate(value)


def _allowed(value: Any, hint: Any, bounds: list[Any]) -> str:
    """What would be allowed; nothing where the value is."""
    if get_origin(hint) is Literal:
        options = get_args(hint)
        return "" if value in options else " or ".join(map(repr, options))
    kinds = {int: ("a whole number", (int,)), float: ("a number", (int, float))}
    if hint is bool:
        return "" if isinstance(value, bool) else "True or False"
    if hint not in kinds:
        return ""  # a field of another type has no bounds to be held to
    words, types = kinds[hint]
    limits = " and ".join(f"{_BOUNDS[type(one)][0]} {one.value:g}" for one in bounds)
    fits = (
        isinstance(value, types)
        and not isinstance(value, bool)
        and all(_BOUNDS[type(one)][1](value, one.value) for one in bounds)
    )
    return "" if fits else f"{words}, {limits}," if limits else words


def has(component: Any, path: str) -> bool:
    """Whether there is a field of that name: `tangents`, or `inner.tangents` of a held one."""
    name, _, rest = path.partition(".")
    if not is_dataclass(component) or name not in {f.name for f in fields(component)}:
        return False
    return not rest or has(getattr(component, name), rest)


def vary(component: T, path: str, value: Any) -> T:
    """The component with another value of a field that it has."""
    name, _, rest = path.partition(".")
    held = getattr(component, name)
    new = vary(held, rest, value) if rest else value
    if isinstance(held, float) and type(new) is int:
        new = float(new)  # as validation makes of it
    return replace(component, **{name: new})  # type: ignore[type-var]


def described(estimator: Estimator) -> dict[str, Any]:
    """As a configuration says it: `{name: …, field: value, …}`."""
    values = {f.name: getattr(estimator, f.name) for f in fields(estimator)}  # type: ignore[arg-type]
    held = {k: described(v) if isinstance(v, Estimator) else v for k, v in values.items()}
    return {"name": snake_name(type(estimator)), **held}


def names(component: Any) -> list[str]:
    """Its fields, and those of what it holds: `draws`, `inner`, `inner.eps`."""
    found = []
    for field in fields(component):
        held = getattr(component, field.name)
        found.append(field.name)
        if is_dataclass(held):
            found += [f"{field.name}.{one}" for one in names(held)]
    return found
