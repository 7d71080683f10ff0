"""Figures in plug-in files: their entries in the catalogue, and drawing one.

A plug-in's code runs in an inspector alone, never in the server.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backend.catalogue.entries import title_of
from backend.config import IMPORT_SECONDS
from backend.figures.catalogue import entry_of, modules
from backend.figures.data.source import FigureError, Source
from backend.figures.info import FigureInfo
from backend.figures.own import Figure, drawn, in_json, info_of
from backend.training.components.discovery import catalogue_name
from estimators.registry import Discovery, Entry, Kind, discover

FIGURE = Kind(Figure, lambda: (), "gradlab.figures", catalogue_name)


def figure_entries(discovery: Discovery) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The entries of the figures found, and the failures of those that cannot be used."""
    entries, failures = [], []
    for name, entry in discovery.entries.get("figure", {}).items():
        if name in modules():
            text = f"the name {name!r} is that of a figure of the lab; rename {entry.cls.__name__}"
            failures.append({"source": entry.file, "traceback": text, "timed_out": False})
            continue
        source = {"kind": entry.kind, **_origin(entry)}
        entries.append({**entry_of(name, _info(name, entry)), "source": source})
    return entries, failures


def figures_alone(plugin_dirs: Sequence[Path | str], import_seconds: float) -> dict[str, Any]:
    """Of the catalogue, the figures of plug-ins and what could not be loaded."""
    discovery = discover(plugin_dirs, import_seconds, {"figure": FIGURE})
    entries, failures = figure_entries(discovery)
    return {"figures": entries, "failures": [*map(asdict, discovery.failures), *failures]}


def draw_own_figure(
    name: str, run: str, source: Source, plugin_dirs: Sequence[Path | str]
) -> dict[str, Any]:
    """Draw a figure of a plug-in, as `backend.figures.draw` does one of the lab's.

    `source` of the answer is the `{file, hash}` that drew it. Raises FigureError if there is no
    such figure, or if it does not fit in JSON; else whatever the plug-in raises.
    """
    discovery = discover(plugin_dirs, IMPORT_SECONDS, {"figure": FIGURE})
    entry = discovery.entries.get("figure", {}).get(name)
    if entry is None:
        raise FigureError(f"there is no figure {name!r} in the plug-ins; press Refresh")
    figure = drawn(entry.cls(), _info(name, entry), source, run)
    return {**in_json(figure), "source": _origin(entry)}


def _origin(entry: Entry) -> dict[str, str]:
    return {"file": entry.file, "hash": entry.sha256}


def _info(name: str, entry: Entry) -> FigureInfo:
    return info_of(name, entry.cls, title_of(entry.cls))
