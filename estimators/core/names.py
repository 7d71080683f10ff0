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


UNLABELLED = {"labelled": False}
"""Metadata of a field that a label leaves out, because labels are older than the field: they name
the series of stored runs and the streams of their random numbers."""


def label(estimator: Estimator, *, whole: bool = False) -> str:
    """The catalogue name with the fields that are not at their default: `spsa(pairs=4)`.

    Fields with the metadata `UNLABELLED` are left out, unless the label is to be `whole`.
    """
    fields = [
        f"{f.name}={label(value, whole=whole) if isinstance(value, Estimator) else value}"
        for f in dataclasses.fields(estimator)  # type: ignore[arg-type]
        if not _is_left_out(f, value := getattr(estimator, f.name), whole)
    ]
    name = snake_name(type(estimator))
    return f"{name}({', '.join(fields)})" if fields else name


def _is_left_out(field: dataclasses.Field, value: Any, whole: bool) -> bool:
    default = _default(field)
    if not whole and isinstance(value, Estimator) and isinstance(default, Estimator):
        return label(value) == label(default)
    return value == default or not (whole or field.metadata.get("labelled", True))


def _default(field: dataclasses.Field) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def labels(estimators: Sequence[Estimator]) -> list[str]:
    """One label for each estimator; repeated labels are numbered: `backprop`, `backprop #2`.

    Estimators that only a field left out of their labels tells apart have whole labels.
    """
    seen: Counter[str] = Counter()
    unique = []
    texts = [(label(e), label(e, whole=True)) for e in estimators]
    for short, whole in texts:
        alike = {other for text, other in texts if text == short}
        text = whole if len(alike) > 1 else short
        seen[text] += 1
        unique.append(text if seen[text] == 1 else f"{text} #{seen[text]}")
    return unique
