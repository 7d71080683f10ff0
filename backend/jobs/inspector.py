"""`answer`: questions that need torch or a plug-in, answered in a process of their own.

The questions are the catalogue, the validity of configurations, and a diagnosis.
"""

import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backend.catalogue import catalogue, validate_all
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
    return catalogue([Path(p) for p in payload["plugins"]], payload["import_seconds"])


def _validate(payload: Payload) -> Any:
    configs, plugins = payload["configs"], [Path(p) for p in payload["plugins"]]
    if payload["kind"] == "microscope":
        return [validate_microscope(config, plugins) for config in configs]
    return validate_all(configs, plugins)


_QUESTIONS: Mapping[str, Callable[[Payload], Any]] = {
    "catalogue": _catalogue,
    "validate": _validate,
    "diagnose": diagnose,
}
