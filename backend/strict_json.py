"""Strict JSON: no NaN and no infinities, only valid Unicode, bounded depth."""

import json
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

Number = float | str
MAX_DEPTH = 64
"""Levels of lists and objects; pydantic fails at 255, Python at about 900."""
_TOO_DEEP = f"it nests more than {MAX_DEPTH} levels deep"


def numbers(values: NDArray[np.float64]) -> list[Number]:
    """Floats as JSON values: "NaN", "Infinity" and "-Infinity" stand for those that JSON lacks."""
    if np.isfinite(values).all():
        return values.tolist()
    return [_number(v) for v in values.tolist()]


def finite_or_none(value: float) -> float | None:
    """The number, or None for one that is not finite."""
    return value if isfinite(value) else None


def _number(value: float) -> Number:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def dumps(value: Any) -> str:
    """Compact JSON. Raises ValueError for a float that is not finite."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def loads(body: bytes, max_values: int | None = None) -> Any:
    """Parse JSON. Raises ValueError for NaN, infinities, invalid Unicode, and excessive depth.

    With `max_values`, also if there are more values, those within lists and objects included.
    """
    try:
        value = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_size(value, max_values)
    if b"\\u" in body:
        # JSON allows a lone surrogate, but neither a database nor a browser does.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _check_size(value: Any, max_values: int | None) -> None:
    level, count = [value], 1
    for _ in range(MAX_DEPTH):
        level = [parent for parent in level if isinstance(parent, (list, dict))]
        if not level:
            return
        count += sum(map(len, level))
        if max_values is not None and count > max_values:
            raise ValueError(f"it has {count:,} values or more; at most {max_values:,} are allowed")
        level = [
            child
            for parent in level
            for child in (parent if isinstance(parent, list) else parent.values())
            if isinstance(child, (list, dict))
        ]
    if level:
        raise ValueError(_TOO_DEEP)


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is too large a number")
    return value
