"""The catalogue: everything that a configuration can name, as plain JSON."""

import hashlib
import json
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.catalogue.entries import component, estimator
from backend.catalogue.greeting import GREETING
from backend.catalogue.validation import validate_with
from backend.config import RunConfig
from backend.training.components.index import ComponentIndex, known
from backend.training.devices import devices

_FAMILIES = {
    "networks": "network",
    "datasets": "dataset",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
}


def catalogue(plugin_dirs: Sequence[Path | str] = ()) -> dict[str, Any]:
    """Estimators, networks, data sets, optimisers and schedules with schemas; what failed."""
    all_known = known(plugin_dirs)
    estimators, failures = _estimators(all_known)
    content = {
        "estimators": estimators,
        **{
            family: [component(n, cls, kind) for n, cls in all_known.classes[kind].items()]
            for family, kind in _FAMILIES.items()
        },
        "failures": failures,
        "devices": devices(),
        "greeting": validate_with(GREETING, all_known)["config"],
        "config": RunConfig.model_json_schema(),
    }
    text = json.dumps(content, sort_keys=True)
    return {"version": hashlib.sha256(text.encode()).hexdigest()[:16], **content}


def _estimators(known: ComponentIndex) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The entries, and what could not be loaded or described."""
    entries = []
    failures = [
        {"source": failure.source, "traceback": failure.traceback}
        for failure in known.discovery.failures
    ]
    for name, found in known.discovery.estimators.items():
        try:
            entries.append(estimator(name, found))
        except Exception:  # a plug-in's own code runs here
            failures.append({"source": found.file, "traceback": traceback.format_exc()})
    return entries, failures
