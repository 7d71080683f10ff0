"""The settings in which a class is tested."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

from estimators.core.bounds import Ge, Le
from estimators.core.contract import Estimator
from estimators.feedback.backprop import Backprop
from estimators.feedback.direct_feedback_alignment import DirectFeedbackAlignment
from estimators.perturbation.forward_gradient import ForwardGradient

INNER = (Backprop(), ForwardGradient(), DirectFeedbackAlignment())
"""Values of a field that holds an estimator: an exact, an unbiased one, and one with state."""


def settings(cls: type[Estimator]) -> Iterator[Estimator]:
    """Yield the defaults, then settings with one field changed, as `changes` gives them."""
    yield cls()
    yield from (cls(**changed) for changed in changes(cls))


def changes(cls: type) -> Iterator[dict[str, Any]]:
    """Yield {field: another value} for a component's class.

    A count becomes another small number, a choice or switch every other option, and an estimator
    in a field one of each kind.
    """
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        for value in _others(hints[field.name], _default(field)):
            yield {field.name: value}


MORE = 8
"""Factor by which a count is raised to see what it does to the variance."""


def enlarged(cls: type[Estimator]) -> Iterator[tuple[str, Estimator]]:
    """Yield (field, the defaults with that count raised to 8 times its value, or to its bound)."""
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        hint = hints[field.name]
        base, *bounds = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
        if base is int:
            count = MORE * max(1, _default(field))
            yield field.name, cls(**{field.name: min([count, *_highest(bounds)])})


def _highest(bounds: list[Any]) -> list[Any]:
    return [b.value for b in bounds if isinstance(b, Le)]


def _others(hint: Any, default: Any) -> Iterator[Any]:
    base, *extras = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    if base is bool:
        yield not default
    elif base is int:
        yield _count(default, extras)
    elif get_origin(base) is Literal:
        yield from (x for x in get_args(base) if x != default)
    elif isinstance(default, Estimator):
        yield from (x for x in INNER if x != default)


def _count(default: int, bounds: list[Any]) -> int:
    """The smallest count within the bounds that is neither 1 nor the default."""
    low = max([b.value for b in bounds if isinstance(b, Ge)], default=0)
    high = min(_highest(bounds), default=float("inf"))
    other = next(n for n in range(max(2, int(low)), int(low) + 5) if n != default)
    return other if other <= high else int(low)


def _default(field: dataclasses.Field) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()
