"""`read`: the mapping in a YAML or JSON file; `parse`: the same of its text."""

import json
from pathlib import Path
from typing import Any

import yaml

MAX_SIZE = 1_000_000
"""Bytes of a file, and characters of its content with YAML's aliases expanded."""


class DocumentError(Exception):
    """The text has no mapping; the message says what it has."""


def read(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file. Raises DocumentError."""
    try:
        if path.stat().st_size > MAX_SIZE:
            raise DocumentError(f"{path} is larger than {MAX_SIZE:,} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DocumentError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is neither YAML nor JSON: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str, kind: str = "a run's configuration") -> dict[str, Any]:
    """The mapping in a text, which is called `name` and is to be a `kind`. Raises DocumentError."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DocumentError(f"{name} is neither YAML nor JSON: {error}") from error
    if not isinstance(document, dict):
        found = "nothing" if document is None else type(document).__name__
        raise DocumentError(f"{name} has {found} at its top level; {kind} is a mapping")
    try:
        _check_expanded_size(document, name)
    except (TypeError, ValueError, RecursionError) as error:
        raise DocumentError(f"{name} has a value that JSON cannot represent: {error}") from error
    return document


def _check_expanded_size(document: Any, name: str) -> None:
    """Check the size with all aliases expanded, without building the text."""
    total = 0
    for piece in json.JSONEncoder(allow_nan=False).iterencode(document):
        total += len(piece)
        if total > MAX_SIZE:
            raise DocumentError(
                f"{name} has more than {MAX_SIZE:,} characters with its aliases expanded"
            )
