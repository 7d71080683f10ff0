"""`answer`: questions that need torch or a plug-in, answered in a process of their own.

The questions are the catalogue, the validity of configurations, what fits into an amount of
memory, what is to be said of a configuration that is being written, what does not suit it, a
diagnosis, and a figure of a plug-in, which reads the database.
"""

import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backend.catalogue import catalogue, validate_all
from backend.catalogue.fitting import fit_all
from backend.catalogue.microscope import validate_microscope
from backend.catalogue.new_run.draft import inspect_draft
from backend.catalogue.new_run.suitability import unsuited
from backend.catalogue.own_figures import FigureError, draw_own_figure, figures_alone
from backend.store import Store
from backend.store.engine import open_reader
from estimators.statistics.findings import diagnose

Payload = Mapping[str, Any]


def answer(kind: str, payload: Payload) -> bytes:
    """`{"result": ...}` or `{"error": traceback}`, as JSON."""
    try:
        reply = {"result": _QUESTIONS[kind](payload)}
    except BaseException:  # a plug-in may raise SystemExit or KeyboardInterrupt
        reply = {"error": traceback.format_exc()}
    return json.dumps(reply).encode()


def _catalogue(payload: Payload) -> Any:
    listing = figures_alone if payload["figures_alone"] else catalogue
    return listing([Path(p) for p in payload["plugins"]], payload["import_seconds"])


def _validate(payload: Payload) -> Any:
    configs, plugins = payload["configs"], [Path(p) for p in payload["plugins"]]
    if payload["kind"] == "microscope":
        return [validate_microscope(config, plugins) for config in configs]
    return validate_all(configs, plugins)


def _fit(payload: Payload) -> Any:
    plugins = [Path(p) for p in payload["plugins"]]
    return fit_all(payload["configs"], payload["field"], payload["limit"], plugins)


def _draft(payload: Payload) -> Any:
    plugins = [Path(p) for p in payload["plugins"]]
    return inspect_draft(payload["configs"], payload["chosen"], plugins)


def _unsuited(payload: Payload) -> Any:
    return unsuited(payload["config"], [Path(p) for p in payload["plugins"]])


def _figure(payload: Payload) -> Any:
    """`{figure: ...}` or `{problem: a sentence}`: the plug-in's error belongs in its place."""
    engine = open_reader(payload["database"])
    try:
        with Store(engine).snapshot() as source:
            plugins = [Path(p) for p in payload["plugins"]]
            return {"figure": draw_own_figure(payload["name"], payload["run"], source, plugins)}
    except FigureError as error:
        return {"problem": str(error)}
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}, line {frame.lineno}"
        return {"problem": f"{type(error).__name__}: {error} ({place})"}
    finally:
        engine.dispose()


_QUESTIONS: Mapping[str, Callable[[Payload], Any]] = {
    "catalogue": _catalogue,
    "validate": _validate,
    "fit": _fit,
    "draft": _draft,
    "unsuited": _unsuited,
    "diagnose": diagnose,
    "figure": _figure,
}
