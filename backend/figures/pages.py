"""The sections of the pages on which charts stand. A chart names its section; it is not listed."""

from collections.abc import Mapping
from typing import Any

from backend.figures.data.metrics import USUAL_MEASURES
from backend.figures.info import Page, Pick, Section

SECTIONS = (
    Section("study", "study", "All runs of the study"),
    Section("overview", "overview", "Overview", (Pick("layer"), Pick("x"), Pick("scale"))),
    Section("run", "guesses", "Guesses and targets", optional=True, tab="layers"),
    Section("run", "training", "Training", (Pick("x"),), tab="overview"),
    Section(
        "run", "measures", "Measures", (Pick("layer"), Pick("scale")), legend=True, tab="variance"
    ),
    Section(
        "run",
        "layers",
        "Layer by layer",
        (Pick("runs"), Pick("metric", choices=USUAL_MEASURES), Pick("level"), Pick("range")),
        tab="layers",
    ),
    Section("run", "more", "More figures", tab="layers"),
    Section("run", "own", "Your figures", optional=True, tab="overview"),
    Section("draws", "draws", "Draws", (Pick("runs"), Pick("layer"))),
    Section("draws", "read", "Measures and laws"),
    Section("draws", "layers", "Layer by layer", (Pick("level"),)),
    Section(
        "sweep", "sweep", "Sweep of {field}", (Pick("runs"), Pick("layer"), Pick("against"))
    ),
    Section(
        "anatomy", "anatomy", "Anatomy of the variance",
        (Pick("runs"), Pick("level"), Pick("parts")),
    ),
    Section(
        "anatomy", "budget", "Larger batch or more draws?", (Pick("layer"), Pick("budget"))
    ),
    Section("one_step", "what-if", "What one step would do", (Pick("runs"),), action="fork"),
    Section("one_step", "loss-change", "Change of the loss in one step", (Pick("rate"),)),
    Section("adjoint_map", "adjoint-map", "Adjoint map", (Pick("runs"), Pick("factor"))),
    Section("adjoint_map", "adjoint-costs", "Time and memory at equal accuracy"),
    Section("adjoint_map", "descent", "Descent condition"),
    Section("comparison", "comparison", "Comparison"),
)  # fmt: skip


def page_of(config: Mapping[str, Any]) -> Page:
    """The page that a run with this configuration has."""
    microscope = config.get("microscope")
    if microscope is None:
        return "run"
    if microscope.get("sweep"):
        return "sweep"
    if microscope.get("anatomy"):
        return "anatomy"
    if microscope.get("adjoint_map"):
        return "adjoint_map"
    return "one_step" if microscope.get("what_if") else "draws"
