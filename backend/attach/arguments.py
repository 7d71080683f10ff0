"""The arguments of `attach` and of a run's calls, checked: an error says what came and what is
allowed."""

import operator
import os
from collections.abc import Collection
from typing import Any

MAX_SHOWN = 80
"""Characters of a value in a message."""


def refusal(name: str, value: Any, allowed: str) -> str:
    """`steps is 10.0, a float; a whole number is allowed`."""
    return f"{name} is {value!r:.{MAX_SHOWN}}, {kind(value)}; {allowed} is allowed"


def kind(value: Any) -> str:
    """The type of a value with its article."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def whole(name: str, value: Any, allowed: str = "a whole number") -> int:
    """A whole number of any type that can be an index. Raises TypeError."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(refusal(name, value, allowed)) from None


def real(name: str, value: Any) -> float:
    """A number, but no truth value. Raises TypeError."""
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        return value if isinstance(value, int) else float(value)
    except (TypeError, ValueError):
        raise TypeError(refusal(name, value, "a number")) from None


def text(name: str, value: Any) -> None:
    """Raise TypeError unless `value` is text or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(refusal(name, value, "text"))


def path(name: str, value: Any) -> None:
    """Raise TypeError unless `value` is a path or None."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise TypeError(refusal(name, value, "a path"))


def one_of(name: str, value: Any, allowed: Collection[Any]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    if not any(value is each or (isinstance(value, str) and value == each) for each in allowed):
        words = " or ".join(map(repr, allowed))
        raise ValueError(refusal(name, value, words))


def function(name: str, value: Any) -> None:
    """Raise TypeError unless `value` can be called, and is no class that has to be made first."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}; write {value.__name__}()")
    if not callable(value):
        raise TypeError(refusal(name, value, "a function"))
