"""`read`: a configuration from a YAML or JSON file."""

import json
from pathlib import Path
from typing import Any

import yaml

MAX_SIZE = 1_000_000
"""Bytes of a file, and characters of its content with YAML's aliases expanded."""


class DocumentError(Exception):
    """The file has no configuration; the message says what it has."""


def read(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file. Raises DocumentError."""
    document = _parsed(path)
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise DocumentError(
            f"{path} has {kind} at its top level; a run's configuration is a mapping"
        )
    try:
        _check_expanded_size(document, path)
    except (TypeError, ValueError, RecursionError) as error:
        raise DocumentError(f"{path} has a value that JSON cannot represent: {error}") from error
    return document


def _parsed(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_SIZE:
            raise DocumentError(f"{path} is larger than {MAX_SIZE:,} bytes")
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DocumentError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(f"{path} is neither YAML nor JSON: {error}") from error


def _check_expanded_size(document: Any, path: Path) -> None:
    """Check the size with all aliases expanded, without building the text."""
    total = 0
    for piece in json.JSONEncoder(allow_nan=False).iterencode(document):
        total += len(piece)
        if total > MAX_SIZE:
            raise DocumentError(
                f"{path} has more than {MAX_SIZE:,} characters with its aliases expanded"
            )
