"""`answer`: questions that need torch or a plug-in, answered in a process of their own.

The questions are the catalogue, the validity of a configuration, and a diagnosis.
"""

import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backend.catalogue import catalogue, validate
from backend.catalogue.diagnosis import diagnose
from backend.catalogue.microscope import validate_microscope

Payload = Mapping[str, Any]


def answer(kind: str, payload: Payload) -> bytes:
    """`{"result": ...}` or `{"error": traceback}`, as JSON."""
    try:
        reply = {"result": _QUESTIONS[kind](payload)}
    except Exception:
        reply = {"error": traceback.format_exc()}
    return json.dumps(reply).encode()


def _catalogue(payload: Payload) -> Any:
    return catalogue([Path(p) for p in payload["plugins"]])


def _validate(payload: Payload) -> Any:
    check = validate_microscope if payload["kind"] == "microscope" else validate
    return check(payload["config"], [Path(p) for p in payload["plugins"]])


_QUESTIONS: Mapping[str, Callable[[Payload], Any]] = {
    "catalogue": _catalogue,
    "validate": _validate,
    "diagnose": diagnose,
}
