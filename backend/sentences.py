"""Error messages about values: what was given, and what is allowed.

Pydantic's errors and those of the lab have the same form, for runs, components and queries.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from math import isnan
from typing import Any

MAX_CHARACTERS = 80  # of a value in a message

_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "dict": "an object",
    "model": "an object",
    "dataclass": "an object",
    "is": "an object",
}


def sentence(error: Mapping[str, Any], fields: Sequence[str] = (), owner: str = "") -> str:
    """The message for one of `ValidationError.errors()`.

    `fields` are the allowed names for an unknown field, and `owner` is what has these fields.
    """
    name, kind, value = _name(error["loc"]) or owner, error["type"], error.get("input")
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return unknown("field", name, fields, owner)
    if kind == "missing":
        return f"{name} is missing"
    if kind in ("value_error", "assertion_error"):
        return str(error["ctx"]["error"])
    if "max_length" in error.get("ctx", {}) or "min_length" in error.get("ctx", {}):
        return _length(name, value, kind, error["ctx"])
    return wrong(name, value, _allowed(error), _hint(kind, value))


def wrong(name: str, value: Any, allowed: str, hint: str = "") -> str:
    """`width is -5; it must be at least 1`, or `width is empty; give a whole number`."""
    if value is None:
        return f"{name} is empty; give {allowed}"
    return f"{name} is {show(value)}; it must be {allowed}{hint}"


def unknown(kind: str, name: str, allowed: Sequence[str], owner: str = "") -> str:
    """`no estimator 'foo'; did you mean 'fool'?`, or a list of all if none is similar."""
    of_owner = f" of {owner}" if owner else ""
    similar = get_close_matches(name, allowed, 1, 0.6)
    if similar:
        return f"no {kind} {show(name)}{of_owner}; did you mean {similar[0]!r}?"
    available = f"; there are: {', '.join(allowed)}" if allowed else ""
    return f"no {kind} {show(name)}{of_owner}{available}"


def show(value: Any) -> str:
    """The given value as in JSON, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:,}" if isinstance(value, int) else repr(value)
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 3]}..."


def _allowed(error: Mapping[str, Any]) -> str:
    kind, ctx = error["type"], error.get("ctx", {})
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return "a finite number" if _is_nan(error["input"]) else f"{words} {_number(ctx[key])}"
    if kind in ("literal_error", "enum"):
        return f"one of {ctx['expected']}"
    if kind == "string_pattern_mismatch":
        return _pattern_words(ctx["pattern"])
    return _KINDS.get(kind.split("_")[0]) or str(error["msg"])


def _is_nan(value: Any) -> bool:
    try:
        return isnan(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _hint(kind: str, value: Any) -> str:
    """How to write a decimal number that was written with a comma."""
    decimal = isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d*,\d+\s*", value)
    if kind == "float_parsing" and decimal:
        return f" (use a point: {value.strip().replace(',', '.')})"
    return ""


def _length(name: str, value: Any, kind: str, ctx: Mapping[str, Any]) -> str:
    what = "characters" if kind.startswith("string") else "entries"
    if "max_length" in ctx:
        return f"{name} has {len(value):,} {what}; at most {ctx['max_length']:,} are allowed"
    if not value:
        return f"{name} is empty; give at least {ctx['min_length']:,} {what}"
    return f"{name} has {len(value):,} {what}; at least {ctx['min_length']:,} are needed"


def _name(loc: Sequence[str | int]) -> str:
    if loc and isinstance(loc[-1], int):
        return f"entry {loc[-1] + 1} of {loc[-2]}" if loc[1:] else f"entry {loc[-1] + 1}"
    return str(loc[-1]) if loc else ""


def _pattern_words(pattern: str) -> str:
    """`^(auto|cpu|cuda:\\d{1,3})$` -> "auto, cpu or cuda:N"; others stay as they are."""
    options = re.sub(r"\\d(\{.*?\})?", "N", pattern.removeprefix("^(").removesuffix(")$"))
    *first, last = options.split("|")
    return f"{', '.join(first)} or {last}" if first else f"of the form {pattern}"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
