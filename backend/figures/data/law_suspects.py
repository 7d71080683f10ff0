"""The likely cause where a measure disagrees with its law."""

import re
from collections.abc import Iterable

from backend.figures.data.select import estimators
from backend.figures.data.source import RunLike
from backend.figures.drawing.text import clipped

LEADING = (
    "coordinate_importance", "evolution_strategy", "gaussian_smoothing", "guided_es", "mezo",
    "node_perturbation", "spsa",
)  # fmt: skip
"""Estimators whose law holds to leading order in the length of their step."""
STEP = "the step is too long for the leading order"
OTHER = "implementation or assumption wrong"

_NAMES = re.compile(rf"\b({'|'.join(LEADING)})\b")


def of(run: RunLike, label: str) -> str:
    """The cause for one estimator of a run, or for what it wraps."""
    return STEP if _NAMES.search(f"{label} {_component(run, label)}") else OTHER


def words(found: Iterable[tuple[RunLike, str]]) -> str:
    """The causes for several (run, label); those with a long step by name, if not all are."""
    causes = {label: of(run, label) for run, label in found}
    steps = [clipped(label) for label, cause in causes.items() if cause == STEP]
    if steps and len(steps) == len(causes):
        return STEP
    return OTHER + (f"; of {', '.join(steps)}: {STEP}" if steps else "")


def _component(run: RunLike, label: str) -> object:
    described = [run.config.get("estimator"), *run.config.get("shadows", ())]
    return dict(zip(estimators(run)[: len(described)], described, strict=False)).get(label)
