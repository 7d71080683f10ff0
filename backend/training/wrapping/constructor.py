"""The parameters of a constructor, read as the fields of a component."""

import inspect
import re
from collections.abc import Container, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from pydantic import Field

SIMPLE = (bool, int, float, str)
"""The types that a form has a control for."""


class Constructor(NamedTuple):
    """How the parameters of a constructor are filled in."""

    hints: dict[str, Any]
    """The types of those that are fields, with bounds and help."""
    defaults: dict[str, Any]
    """Their defaults."""
    given: tuple[str, ...]
    """Those that the lab fills in itself."""
    kept: tuple[str, ...]
    """Those that stay at their default, since a form has no control for their type."""

    def fields(self) -> list[tuple[str, Any, Any]]:
        """(name, type, default) of each field, as `dataclasses.make_dataclass` takes them."""
        return [(n, hint, field(default=self.defaults[n])) for n, hint in self.hints.items()]


def read_constructor(
    cls: type,
    given: Container[str],
    reserved: Container[str],
    bounds: Mapping[str, Any] | None = None,
) -> Constructor:
    """Read the constructor of `cls`, of which the lab fills in the parameters `given`.

    `bounds`: of parameters that are annotated with none. Raises TypeError, in a sentence, if a
    parameter has no default, or the name of an attribute (`reserved`) of the component.
    """
    hints, helps = _hints(cls), _helps(cls)
    made = Constructor({}, {}, (), ())
    for name, parameter in _parameters(cls).items():
        if name in given:
            made = made._replace(given=(*made.given, name))
            continue
        if parameter.default is inspect.Parameter.empty:
            raise TypeError(
                f"the constructor of {cls.__name__} needs {name}: give it a default, or one of the "
                "names that the data set fills in (shape, in_channels, in_features, num_classes, …)"
            )
        hint = field_type(hints.get(name), parameter.default)
        if hint is None:
            made = made._replace(kept=(*made.kept, name))
            continue
        if name in reserved:
            raise TypeError(
                f"{cls.__name__} has a parameter {name}, a name of the lab's: rename it"
            )
        if get_origin(hint) is not Annotated and bounds and name in bounds:
            # A default such as `weight_decay=0` stands for a number that need not be whole.
            hint = Annotated[float if hint is int and name not in hints else hint, *bounds[name]]
        made.hints[name] = Annotated[hint, Field(description=helps.get(name, ""))]
        made.defaults[name] = parameter.default
    return made


def field_type(hint: Any, default: Any) -> Any:
    """The type of a field, from its annotation or its default; None if a form has none for it."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if plain in SIMPLE or get_origin(plain) is Literal:
        return hint
    return type(default) if type(default) in SIMPLE else None


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The constructor's named parameters, without `self`."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    _, *parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p for p in parameters if p.kind in kinds}


def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls.__init__, include_extras=True)
    except Exception:  # an annotation that cannot be evaluated; the defaults tell the types
        return {}


def _helps(cls: type) -> dict[str, str]:
    """{parameter: text} from the entries `name: text` of the docstrings' section `Args:`."""
    texts: dict[str, str] = {}
    for doc in (cls.__doc__, cls.__init__.__doc__):
        _, _, arguments = inspect.cleandoc(doc or "").partition("Args:\n")
        section = re.split(r"\n(?=\S)", arguments)[0]
        entries = re.split(r"\n(?=\s{1,4}\*?\w+(?:\s*\([^)]*\))?:)", f"\n{section}")
        for entry in entries:
            if match := re.match(r"\s*(\w+)(?:\s*\([^)]*\))?:\s*(.+)", entry, re.DOTALL):
                texts[match[1]] = " ".join(match[2].split())
    return texts
