"""Chains of torchzero's modules as text, `SPSA(h=0.01), EMA(0.9)`: read, never executed."""

import ast
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from estimators.core.contract import UnsupportedError

INSTALL = 'pip install "gradlab[torchzero]"'
MAX_LENGTH, MAX_COUNT = 200, 1_000_000
FORM = "Name(argument, field=argument), … with numbers, text, lists and modules as arguments"


class Call(NamedTuple):
    """A module and its arguments, in which other modules are calls again."""

    name: str
    args: list[Any]
    fields: dict[str, Any]


def parse_chain(text: str) -> list[Call]:
    """The modules of a chain. Raises ValueError, saying what is allowed."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"modules has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"modules is {text!r}; it must be {FORM}") from None
    calls = [_value(e) for e in (tree.elts if isinstance(tree, ast.Tuple) else [tree])]
    if not calls or not all(isinstance(call, Call) for call in calls):
        raise ValueError(f"modules is {text!r}; it must be {FORM}")
    return calls


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return Call(node.id, [], {})
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        fields = {str(k.arg): _value(k.value) for k in node.keywords if k.arg}
        if len(fields) == len(node.keywords):
            _refuse_seed(node.func.id, fields)
            return Call(node.func.id, [_value(arg) for arg in node.args], fields)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(element) for element in node.elts]
    try:
        value = ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"modules has {ast.unparse(node)!r}; it must be {FORM}") from None
    if isinstance(value, int) and abs(value) > MAX_COUNT:
        raise ValueError(f"modules has {value:,}; at most {MAX_COUNT:,} is allowed")
    return value


def _refuse_seed(name: str, fields: dict[str, Any]) -> None:
    if fields.get("seed") is not None:
        raise ValueError(
            f"modules gives {name} a seed, and every draw would be the same; leave it out: the "
            "noise comes from the lab's own generator"
        )


def build_chain(calls: Sequence[Call]) -> list[Any]:
    """New modules of torchzero.

    Raises UnsupportedError: torchzero is not installed, or has no such module, or the module does
    not take the arguments.
    """
    package = torchzero()
    return [_build(call, package) for call in calls]


def torchzero() -> Any:
    """The package, imported when it is first used: that takes a second. Raises UnsupportedError."""
    if find_spec("torchzero") is None:
        raise UnsupportedError(f"torchzero is not installed; install it with {INSTALL}")
    return import_module("torchzero")


def _build(value: Any, package: Any) -> Any:
    if isinstance(value, list):
        return [_build(element, package) for element in value]
    if not isinstance(value, Call):
        return value
    cls = getattr(package.m, value.name, None)
    if not (isinstance(cls, type) and issubclass(cls, package.core.Module)):
        raise UnsupportedError(
            f"torchzero has no module {value.name!r}; its modules are the classes of torchzero.m, "
            "such as ForwardGradient, SPSA, FDM and EMA"
        )
    args = [_build(arg, package) for arg in value.args]
    fields = {name: _build(arg, package) for name, arg in value.fields.items()}
    try:
        return cls(*args, **fields)
    except Exception as error:
        raise UnsupportedError(f"torchzero's {value.name} refuses its arguments: {error}") from None
