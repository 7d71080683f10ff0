"""The questions that a figure can be asked, parsed from the address's text."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan
from typing import Any

from backend.figures.data.source import FigureError

AXES = ("step", "examples", "forwards", "seconds")
LEVELS = ("stage", "tensor")
SCALES = ("auto", "linear", "asinh")
RANGES = ("auto", "full")
UNITS = ("scaled", "raw")
AGAINST = ("field", "parameters")
PARTS = ("share", "variance")
POINTS = 1000
"""Most shown points of a trace."""
PARAMETERS: dict[str, dict[str, Any]] = {
    "runs": {"title": "Runs", "help": "Ids of runs, separated by commas."},
    "metric": {"title": "Metric", "help": "A metric's name; several separated by commas."},
    "layer": {"title": "Layer", "help": "A stage or tensor; empty for the whole network."},
    "estimator": {"title": "Estimator", "help": "An estimator's label; empty for the default."},
    "level": {"title": "Level", "help": "One row a stage or a tensor.", "options": list(LEVELS)},
    "x": {
        "title": "Horizontal axis",
        "help": "What progress is counted in.",
        "options": list(AXES),
    },
    "range": {
        "title": "Colour range",
        "help": "Of a cosine: as far as its values reach (layers that are exact aside), or ±1.",
        "options": list(RANGES),
    },
    "against": {
        "title": "Against",
        "help": "Of a sweep over the network: its field, or the number of parameters, d.",
        "options": list(AGAINST),
    },
    "window": {"title": "Probes pooled", "help": "How many of the latest probes are pooled."},
    "scale": {
        "title": "Vertical scale",
        "help": "Of measures; auto: asinh where lines near zero would be lost beside large ones.",
        "options": list(SCALES),
    },
    "units": {
        "title": "Units",
        "help": "Of errors; scaled: each estimator stretched so that its mean reaches ‖g‖ along g.",
        "options": list(UNITS),
    },
    "k": {"title": "Draws averaged", "help": "How many draws of an estimator are averaged."},
    "parts": {
        "title": "Parts",
        "help": "Of an anatomy: their share of the variance, or the variances themselves.",
        "options": list(PARTS),
    },
    "budget": {
        "title": "Budget",
        "help": "Draws at the run's batch size that one gradient may cost, n = b K.",
    },
    "rate": {
        "title": "Learning rate",
        "help": "Of the steps shown, the nearest that was taken; empty: the best one.",
    },
    "max": {"title": "Points", "help": f"Most shown points of a trace, at most {POINTS}."},
    "first": {"title": "From step", "help": "The first step shown."},
    "last": {"title": "To step", "help": "The last step shown."},
}


@dataclass(frozen=True)
class Query:
    """A parsed question; empty text means the figure's default."""

    runs: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    layer: str = ""
    estimator: str = ""
    level: str = "stage"
    x: str = "step"
    range: str = "auto"
    against: str = "field"
    window: int = 8
    scale: str = "auto"
    units: str = "scaled"
    k: int = 1
    parts: str = "share"
    budget: int | None = None
    rate: float | None = None
    max: int = POINTS
    first: int | None = None
    last: int | None = None


def parse(text: Mapping[str, str]) -> Query:
    """Check every field; raises FigureError naming the first that is wrong."""
    for name in text:
        if name not in PARAMETERS:
            raise FigureError(f"unknown parameter {name!r}; allowed are {', '.join(PARAMETERS)}")
    runs = _words(text.get("runs", ""))
    if not runs:
        raise FigureError("no runs were named; give `runs`, ids separated by commas")
    return Query(
        runs=runs,
        metrics=_words(text.get("metric", "")),
        layer=text.get("layer", ""),
        estimator=text.get("estimator", ""),
        level=_choice(text, "level", LEVELS),
        x=_choice(text, "x", AXES),
        range=_choice(text, "range", RANGES),
        against=_choice(text, "against", AGAINST),
        window=_whole(text, "window", 1, 10_000) or 8,
        scale=_choice(text, "scale", SCALES),
        units=_choice(text, "units", UNITS),
        k=_whole(text, "k", 1, 10**6) or 1,
        parts=_choice(text, "parts", PARTS),
        budget=_whole(text, "budget", 1, 10**6),
        rate=_positive(text, "rate"),
        max=_whole(text, "max", 2, POINTS) or POINTS,
        first=_whole(text, "first", 0, 2**53),
        last=_whole(text, "last", 0, 2**53),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _choice(text: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = text.get(name) or allowed[0]
    if value not in allowed:
        raise FigureError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
    return value


def _positive(text: Mapping[str, str], name: str) -> float | None:
    value = text.get(name)
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        number = nan
    if not 0 < number < inf:
        raise FigureError(f"{name} is {value!r}; allowed is a number above 0")
    return number


def _whole(text: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    value = text.get(name)
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 17 and low <= int(value) <= high):
        raise FigureError(f"{name} is {value!r}; allowed is a whole number from {low} to {high}")
    return int(value)
