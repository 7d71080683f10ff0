"""One entry of the catalogue."""

import hashlib
import inspect
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

from backend.catalogue.schemas import schema_of
from backend.training.networks.mlp import MLP
from estimators.core.contract import Estimator
from estimators.core.names import words_of
from estimators.core.objective import Chain
from estimators.registry import Entry


def component(name: str, cls: type, family: str) -> dict[str, Any]:
    """The entry of one of our own components."""
    file = Path(inspect.getfile(cls))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return _entry(name, cls, family, {"kind": "builtin", "file": str(file), "hash": digest})


def estimator(name: str, entry: Entry) -> dict[str, Any]:
    """The entry of an estimator, with what it promises and what it needs."""
    source = {"kind": entry.kind, "file": entry.file, "hash": entry.sha256}
    family = _family(entry.cls) if entry.kind == "builtin" else entry.kind
    needs = [{"name": need.name.lower(), "text": need.value} for need in entry.cls().needs()]
    return {
        **_entry(name, entry.cls, family, source),
        "claim": claim_of(entry.cls),
        "needs": needs,
    }


def _family(cls: type[Estimator]) -> str:
    """What the package of a method calls itself: its docstring, up to the colon."""
    package = sys.modules[cls.__module__.rpartition(".")[0]]
    return inspect.cleandoc(package.__doc__ or "").partition(":")[0]


def claim_of(cls: type[Estimator]) -> str:
    """exact, unbiased or biased on a small reference network; depends, if a choice decides."""
    claims = {cls(**choice).claim(_reference()) for choice in _choices(cls)}
    return claims.pop().name.lower() if len(claims) == 1 else "depends"


def title_of(cls: type) -> str:
    """What it calls itself; else `ForwardGradient` -> "Forward gradient", `MLP` as it is."""
    own = vars(cls).get("title", "")
    if own and "title" not in cls.__dataclass_fields__:
        return own
    first, *others = words_of(cls)
    if len(others) == 1 and len(others[0]) == 1:  # AdamW
        return cls.__name__
    return " ".join([first, *(w if w.isupper() else w.lower() for w in others)])


def _entry(name: str, cls: type, family: str, source: dict[str, str]) -> dict[str, Any]:
    doc = _prose(cls)
    return {
        "name": name,
        "title": title_of(cls),
        "summary": " ".join(doc.split("\n\n")[0].split()),
        "doc": doc,
        "family": family,
        "schema": schema_of(cls),
        "source": source,
    }


def _prose(cls: type) -> str:
    """The class's docstring without its example; a short one is followed by the module's."""
    own = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    paragraphs = [text for text in own.split("\n\n") if not text.startswith("Example:")]
    if len(paragraphs) == 1:
        paragraphs.append(inspect.cleandoc(sys.modules[cls.__module__].__doc__ or ""))
    return "\n\n".join(paragraphs).strip()


def _choices(cls: type) -> list[dict[str, Any]]:
    """The defaults, and each option of each field that is a choice."""
    hints = get_type_hints(cls)
    found: list[dict[str, Any]] = [{}]
    for item in fields(cls):
        if get_origin(hints[item.name]) is Literal:
            found += [{item.name: option} for option in get_args(hints[item.name])]
    return found


@cache
def _reference() -> Chain:
    module = MLP(width=3, depth=2).build((2,), 2, torch.Generator().manual_seed(0))
    return Chain(module, torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
