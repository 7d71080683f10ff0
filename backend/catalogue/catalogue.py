"""`catalogue`: everything that a configuration can name, as plain JSON."""

import hashlib
import json
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from backend.catalogue.entries import describe_entry
from backend.catalogue.new_run.presets import presets
from backend.catalogue.own_figures import FIGURE, figure_entries
from backend.catalogue.validation import validate_with
from backend.config import IMPORT_SECONDS, RunConfig
from backend.training.components.index import ComponentIndex, component_index

_KINDS = {
    "estimators": "estimator",
    "networks": "network",
    "datasets": "dataset",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
}

EXAMPLE_RUN: dict[str, Any] = {
    "name": "forward gradients on digits",
    "dataset": {"name": "digits"},
    "network": {"name": "mlp", "width": 128, "depth": 2},
    "estimator": {"name": "forward_gradient"},
    "shadows": [{"name": "activity_forward_gradient"}, {"name": "direct_feedback_alignment"}],
    "optimizer": {"name": "sgd", "lr": 0.0001, "momentum": 0.9, "schedule": {"name": "cosine"}},
    "steps": 20_000,
    "batch_size": 64,
    "seed": 0,
    "device": "auto",
    "probe": {"draws": 16, "budget": 0.25},
}
"""The run that the page offers to a new user: it takes about half a minute."""


def catalogue(
    plugin_dirs: Sequence[Path | str] = (), import_seconds: float = IMPORT_SECONDS
) -> dict[str, Any]:
    """Every component with its JSON schema, this machine's devices, and what failed to load."""
    index = component_index(plugin_dirs, import_seconds, {"figure": FIGURE})
    figures, unusable = figure_entries(index.discovery)
    failures = [*map(vars, index.discovery.failures), *unusable]
    content = {
        **{key: _entries(index, key, failures) for key in _KINDS},
        "figures": figures,
        "failures": failures,
        "devices": devices(),
        "presets": [preset.model_dump(mode="json") for preset in presets()],
        "greeting": validate_with(EXAMPLE_RUN, index)["config"],
        "config": RunConfig.model_json_schema(),
    }
    text = json.dumps(content, sort_keys=True)
    return {"version": hashlib.sha256(text.encode()).hexdigest()[:16], **content}


def devices() -> list[dict[str, str]]:
    """The name and a description of each device, the CPU first."""
    cpu = {"name": "cpu", "description": f"{torch.get_num_threads()} threads"}
    return [
        cpu,
        *(
            {"name": f"cuda:{i}", "description": torch.cuda.get_device_name(i)}
            for i in range(torch.cuda.device_count())
        ),
    ]


def _entries(
    index: ComponentIndex, key: str, failures: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The entries of a list; the sources of those that cannot be described join `failures`."""
    entries = []
    for name, entry in index.discovery.entries.get(_KINDS[key], {}).items():
        try:
            entries.append(describe_entry(name, entry, key))
        except (Exception, SystemExit):  # a plug-in's own code runs here
            text = traceback.format_exc()
            failures.append({"source": entry.file, "traceback": text, "timed_out": False})
    return entries
