"""The fields of an estimator: validated against their declaration, and varied one at a time."""

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
    """Check every field, nested estimators included, against its type and bounds.

    Raises ValueError with what is allowed.
    """
    hints = get_type_hints(type(estimator), include_extras=True)
    for field in fields(estimator):  # type: ignore[arg-type]
        value, hint = getattr(estimator, field.name), hints[field.name]
        bounds: list[Any] = []
        if get_origin(hint) is Annotated:
            hint, *bounds = get_args(hint)
        allowed = _allowed(value, hint, [bound for bound in bounds if type(bound) in _BOUNDS])
        if allowed:
            name = snake_name(type(estimator))
            raise ValueError(f"{field.name} of {name} is {value!r}; {allowed} is allowed")
        if isinstance(value, Estimator):
            validate(value)


def _allowed(value: Any, hint: Any, bounds: list[Any]) -> str:
    """What is allowed instead of the value; "" where it is allowed."""
    if get_origin(hint) is Literal:
        options = get_args(hint)
        return "" if value in options else " or ".join(map(repr, options))
    kinds = {int: ("a whole number", (int,)), float: ("a number", (int, float))}
    if hint is bool:
        return "" if isinstance(value, bool) else "True or False"
    if hint not in kinds:
        return ""  # fields of other types have no bounds
    words, types = kinds[hint]
    limits = " and ".join(f"{_BOUNDS[type(bound)][0]} {bound.value:g}" for bound in bounds)
    fits = (
        isinstance(value, types)
        and not isinstance(value, bool)
        and all(_BOUNDS[type(bound)][1](value, bound.value) for bound in bounds)
    )
    return "" if fits else f"{words}, {limits}," if limits else words


def has(component: Any, path: str) -> bool:
    """Whether there is a field of that name: `tangents`, or `inner.tangents` of a nested
    estimator."""
    name, _, rest = path.partition(".")
    if not is_dataclass(component) or name not in {f.name for f in fields(component)}:
        return False
    return not rest or has(getattr(component, name), rest)


def vary(component: T, path: str, value: Any) -> T:
    """A copy of the component with another value of one of its fields."""
    name, _, rest = path.partition(".")
    old = getattr(component, name)
    new = vary(old, rest, value) if rest else value
    if isinstance(old, float) and type(new) is int:
        new = float(new)  # as validation does
    return replace(component, **{name: new})  # type: ignore[type-var]


def described(estimator: Estimator) -> dict[str, Any]:
    """The estimator as a configuration: `{name: …, field: value, …}`."""
    values = {f.name: getattr(estimator, f.name) for f in fields(estimator)}  # type: ignore[arg-type]
    plain = {k: described(v) if isinstance(v, Estimator) else v for k, v in values.items()}
    return {"name": snake_name(type(estimator)), **plain}


def names(component: Any) -> list[str]:
    """The names of its fields and of nested ones: `draws`, `inner`, `inner.eps`."""
    paths = []
    for field in fields(component):
        value = getattr(component, field.name)
        paths.append(field.name)
        if is_dataclass(value):
            paths += [f"{field.name}.{name}" for name in names(value)]
    return paths
