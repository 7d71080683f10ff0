"""The names of estimators in the catalogue and in legends."""

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from estimators.core.contract import Estimator

# The borders between words. MeZO is one word.
_BETWEEN = re.compile(r"(?<=[a-z0-9]{2})(?=[A-Z])|(?<=[a-zA-Z])(?=[A-Z][a-z])")


def words_of(cls: type) -> list[str]:
    """The words of a class name: `ForwardGradient` has two, `SPSA` and `MeZO` one."""
    return _BETWEEN.split(cls.__name__)


def snake_name(cls: type) -> str:
    """The catalogue name: `ForwardGradient` is `forward_gradient`."""
    return "_".join(words_of(cls)).lower()


def label(estimator: Estimator) -> str:
    """The catalogue name with the fields that are not at their default: `spsa(pairs=4)`."""
    fields = [
        f"{f.name}={label(value) if isinstance(value, Estimator) else value}"
        for f in dataclasses.fields(estimator)  # type: ignore[arg-type]
        if (value := getattr(estimator, f.name)) != _default(f)
    ]
    name = snake_name(type(estimator))
    return f"{name}({', '.join(fields)})" if fields else name


def _default(field: dataclasses.Field) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def labels(estimators: Sequence[Estimator]) -> list[str]:
    """One label for each estimator; repeated labels are numbered: `backprop`, `backprop #2`."""
    seen: Counter[str] = Counter()
    unique = []
    for text in map(label, estimators):
        seen[text] += 1
        unique.append(text if seen[text] == 1 else f"{text} #{seen[text]}")
    return unique
