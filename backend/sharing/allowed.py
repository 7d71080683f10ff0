"""What an export may contain of a run: a list of what is allowed.

Paths, host names, tokens and tracebacks are on no such list, so they cannot leave.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml

from backend.config import RunConfig
from backend.figures.data.source import RunLike, Source
from backend.figures.drawing.text import without_paths
from backend.figures.findings import Finding, findings_of

VERSION = re.compile(r"[0-9][\w.+!-]{0,40}")
PACKAGE = re.compile(r"[A-Za-z][\w.-]{0,40}")
PLUGIN = re.compile(r"([a-z]{1,20} )?\w{1,100}")
SHA256 = re.compile(r"[0-9a-f]{64}")
# torch's names for devices and the makers' names for GPUs: nothing with a dot or a slash.
WORDS = re.compile(r"[\w .()-]{0,200}")  # of a layer: no slash, so no path
DEVICE = re.compile(r"(cpu|cuda)(:\d{1,3})?|(NVIDIA|AMD|Intel|Tesla|Quadro|GeForce)[\w ()-]{0,60}")


MICROSCOPE_FIELDS = ("step", "draws", "seed", "sweep", "anatomy", "what_if", "adjoint_map")


def seen(run: RunLike) -> dict[str, str]:
    """What a microscope looked at, in words; nothing of another run."""
    microscope = run.config.get("microscope")
    if not isinstance(microscope, Mapping):
        return {}
    repeats = ("draws", ("draws", "{:,} of each estimator"))
    if microscope.get("adjoint_map"):  # it draws nothing
        repeats = ("timings", ("draws", "{:,} of each gradient"))
    words_of = dict([
        ("looked at", ("step", "step {:,}")), repeats, ("seed of the draws", ("seed", "{}")),
    ])  # fmt: skip
    return {
        words: template.format(value)
        for words, (name, template) in words_of.items()
        if isinstance(value := microscope.get(name), int)
    }


def config(run: RunLike) -> dict[str, Any]:
    """The fields of a configuration, with what a microscope looks at."""
    microscope = run.config.get("microscope")
    if not isinstance(microscope, Mapping):
        return trained(run)
    return {
        **trained(run),
        "microscope": {name: microscope.get(name) for name in MICROSCOPE_FIELDS},
    }


def trained(run: RunLike) -> dict[str, Any]:
    """The fields of a configuration, as `gradlab run` takes them."""
    fields = {name: run.config.get(name) for name in RunConfig.model_fields}
    return {name: value for name, value in fields.items() if value is not None}


def config_yaml(run: RunLike) -> str:
    """The configuration as YAML."""
    return yaml.safe_dump(trained(run), sort_keys=False, allow_unicode=True, width=100)


def versions(run: RunLike) -> dict[str, str]:
    """Packages and their versions; entries that do not look like one are left out."""
    installed = run.facts.get("versions")
    if not isinstance(installed, Mapping):
        return {}
    return {
        str(name): str(value)
        for name, value in installed.items()
        if PACKAGE.fullmatch(str(name)) and VERSION.fullmatch(str(value))
    }


def plugins(run: RunLike) -> dict[str, str]:
    """Plug-ins by name, with the beginning of the SHA-256 of the file that was used."""
    hashes = run.facts.get("plugins")
    return {
        str(name): str(value)[:12]
        for name, value in (hashes.items() if isinstance(hashes, Mapping) else ())
        if PLUGIN.fullmatch(str(name)) and SHA256.fullmatch(str(value))
    }


def facts(run: RunLike) -> dict[str, str]:
    """What a reader wants to know first, in words."""
    device = str(run.facts.get("device", ""))
    words = {
        "status": run.status,
        "driver": run.labels.get("driver"),
        "shadows": ", ".join(run.labels.get("shadows", ())),
        "steps": run.config.get("steps"),
        "epochs": run.config.get("epochs"),
        "batch size": run.config.get("batch_size"),
        "seed": run.config.get("seed"),
        "parameters": _whole(run.facts.get("parameters")),
        "device": device if DEVICE.fullmatch(device) else None,
        "threads": _whole(run.facts.get("threads")),
        "versions": ", ".join(f"{name} {value}" for name, value in versions(run).items()),
        "plug-ins": ", ".join(f"{name} (SHA-256 {value}…)" for name, value in plugins(run).items()),
    }
    if microscope := seen(run):  # draws are no steps, and theirs is a seed of their own
        words = {
            "status": words.pop("status"),
            **microscope,
            "seed of the run": words.pop("seed"),
            **{name: value for name, value in words.items() if name not in ("steps", "epochs")},
        }
    return {name: str(value) for name, value in words.items() if value not in (None, "")}


def device(value: Any) -> str | None:
    """A device by torch's or its maker's name; None for anything else."""
    return value if isinstance(value, str) and DEVICE.fullmatch(value) else None


def reason(error: str | None) -> str | None:
    """The first line of what ended a run, with every word that could be a path left out."""
    if not error or not error.strip():
        return None
    first = error.strip().splitlines()[0]
    return without_paths(first)[:300]


def findings(source: Source, run_id: str) -> list[Finding]:
    """The findings of a run, with every word left out that could be a path; of a failure, only the
    first line of its reason."""
    why = reason(getattr(source.run(run_id), "error", None))
    made = []
    for finding in findings_of(source, run_id):
        text = f"{why}." if finding.kind == "failed" and why else without_paths(finding.text)
        text = "" if finding.kind == "failed" and not why else text
        made.append(replace(finding, title=without_paths(finding.title), text=text))
    return made


def shared_facts(run: RunLike) -> dict[str, Any]:
    """The facts that the page of a shared dashboard reads."""
    counts = {name: run.facts.get(name) for name in ("parameters", "threads")}
    return {
        **{name: value for name, value in counts.items() if isinstance(value, int)},
        "layers": layers(run),
        "versions": versions(run),
        "plugins": plugins(run),
    }


def layers(run: RunLike) -> list[dict[str, Any]]:
    """One row a tensor: name, stage, shape, count and coverage."""
    table = run.facts.get("layers")
    rows = [row for row in table if isinstance(row, Mapping)] if isinstance(table, list) else []
    return [_layer(row) for row in rows]


def _layer(row: Mapping[str, Any]) -> dict[str, Any]:
    words = {name: str(row.get(name, "")) for name in ("name", "stage", "coverage")}
    shape = row.get("shape")
    return {
        **{name: value if WORDS.fullmatch(value) else "" for name, value in words.items()},
        "shape": [n for n in shape if isinstance(n, int)] if isinstance(shape, list) else [],
        "count": row.get("count") if isinstance(row.get("count"), int) else 0,
    }


def _whole(value: Any) -> str | None:
    return f"{value:,}" if isinstance(value, int) else None
