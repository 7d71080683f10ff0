"""The parameters of figures, each declared once, and the query that an address's text becomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan
from typing import Any, Literal

from backend.figures.data.source import FigureError
from backend.figures.info import Condition

POINTS = 1000
"""Most shown points of a trace."""
WINDOW = 8
"""The latest probes that a number is pooled from, unless the reader asks for others."""
MOST_AVERAGED = 4096
"""Most draws that the page's control averages."""
BUDGETS = ("", "1", "8", "64", "512")
"""Budgets that an exported page can switch between."""


@dataclass(frozen=True)
class Choice:
    """A value of a parameter, and how the page's control calls it."""

    value: str
    title: str


@dataclass(frozen=True)
class Parameter:
    """What a figure can be asked: its words, its values, and how its text is read."""

    title: str
    help: str
    kind: Literal["text", "list", "choice", "whole", "positive", "number"] = "text"
    """list: texts separated by commas; whole: a whole number within `limits`; positive: a number
    above 0; number: any finite number."""
    choices: tuple[Choice, ...] = ()
    """The values that are allowed (of a choice), or that the page's control offers."""
    default: str = ""
    unit: str = ""
    limits: tuple[int, int] = (0, 2**53)
    control: Literal["select", "slider"] = "select"
    when: Condition | None = None
    """The page offers it only for a run that fulfils this condition."""
    values_of: tuple[str, str] | None = None
    """The figure, and the key of its `meta`, that hold the values which a run offers: each by
    itself, or as `{value, title}`."""


def _choices(**titles: str) -> tuple[Choice, ...]:
    return tuple(Choice(value, title) for value, title in titles.items())


def _powers(most: int) -> tuple[Choice, ...]:
    numbers = [2**power for power in range(most.bit_length())]
    return tuple(Choice(str(number), f"{number:,}") for number in numbers)


PARAMETERS: dict[str, Parameter] = {
    "runs": Parameter("Run", "Ids of runs, separated by commas.", "list"),
    "metric": Parameter("Measure", "The name of a metric; several separated by commas.", "list"),
    "layer": Parameter("Layer", "A stage or a tensor; empty for the whole network."),
    "estimator": Parameter(
        "Estimator", "The label of an estimator; empty for the figure's default."
    ),
    "level": Parameter(
        "Rows",
        "Whether there is a row for each stage or for each tensor.",
        "choice",
        _choices(stage="stages", tensor="tensors"),
        "stage",
    ),
    "x": Parameter(
        "Horizontal axis",
        "The unit in which progress is counted.",
        "choice",
        _choices(
            step="steps", examples="examples", forwards="forward passes", seconds="seconds"
        ),
        "step",
    ),
    "range": Parameter(
        "Colours of a cosine",
        "The scale of the colours: by decades up to ±1, the same for all estimators; linear as far "
        "as the values of one estimator reach (exact layers aside); or linear up to ±1.",
        "choice",
        _choices(shared="by decades, for all", auto="as far as its values reach", full="±1"),
        "shared",
    ),
    "against": Parameter(
        "Against",
        "The horizontal axis of a sweep over the network: the varied field, or the number of "
        "parameters, d.",
        "choice",
        _choices(field="the field", parameters="number of parameters, d"),
        "field",
        when=Condition("microscope.sweep.field", "network.*"),
    ),
    "window": Parameter(
        "Probes pooled", "How many of the latest probes are pooled.", "whole", (), str(WINDOW),
        "probes", (1, 10_000),
    ),
    "scale": Parameter(
        "Vertical axis",
        "The scale of values. Automatic: asinh where small measures of the first run would be lost "
        "beside its large ones; linear for the loss.",
        "choice",
        _choices(auto="automatic", linear="linear", log="log", asinh="asinh"),
        "auto",
    ),
    "smooth": Parameter(
        "Smoothing",
        "The mean of so many points up to each; 0: none.",
        "whole",
        (Choice("0", "none"), *(Choice(str(n), f"{n:,} points") for n in (10, 100, 1000))),
        "0",
        "points",
        (0, 10**6),
    ),
    "units": Parameter(
        "Units",
        "The units of errors. Scaled: each estimator is first multiplied by the factor that "
        "makes its mean reach ‖g‖ along g.",
        "choice",
        _choices(scaled="scaled", raw="raw"),
        "scaled",
    ),
    "k": Parameter(
        "Draws averaged, K", "How many draws of an estimator are averaged.", "whole",
        _powers(MOST_AVERAGED), "1", "draws", (1, 10**6), "slider",
    ),
    "parts": Parameter(
        "Show",
        "The two sources of the variance as shares of it, or as variances.",
        "choice",
        _choices(share="share of the variance", variance="variance, log axis"),
        "share",
    ),
    "budget": Parameter(
        "Budget, draws a gradient",
        "Draws at the run's batch size that one gradient may cost, n = b K.",
        "whole",
        (Choice("", "as checked"), *_powers(4096)),
        unit="draws",
        limits=(1, 10**6),
    ),
    "rate": Parameter(
        "Learning rate η",
        "The figure takes the nearest learning rate that was tried; empty: nearest to the best.",
        "positive",
        (Choice("", "nearest to the best of each"),),
        values_of=("what_if", "rates"),
    ),
    "adjoint": Parameter(
        "Adjoint",
        "The phantom gradient: npg, k terms of the damped Neumann series; upg, k damped steps from "
        "the solution, differentiated.",
        "choice",
        _choices(npg="npg: Neumann series", upg="upg: unrolled steps"),
        "npg",
    ),
    "quantity": Parameter(
        "Colour",
        "What the colours and the numbers in the cells are.",
        "choice",
        _choices(cosine="cosine", relative_error="relative error", seconds="time"),
        "cosine",
    ),
    "factor": Parameter(
        "Factor c of the state",
        "The factor c of all weights that multiply the state; empty: 1, the network as it is.",
        "number",
        values_of=("adjoint_map", "factors"),
        control="slider",
    ),
    "report": Parameter(
        "Quantity",
        "What an estimator reports of itself: a key; empty for the first ones.",
        choices=(Choice("", "the first ones"),),
        values_of=("driver_reports", "reports"),
    ),
    "residual": Parameter(
        "Residual",
        "The residual of a solve: relative to the length of f(z), or absolute.",
        "choice",
        _choices(relative="relative", absolute="absolute"),
        "relative",
    ),
    "max": Parameter(
        "Points", f"Most shown points of a trace, at most {POINTS}.", "whole", (), str(POINTS),
        "points", (2, POINTS),
    ),
    "first": Parameter("From step", "The first step shown.", "whole", unit="steps"),
    "last": Parameter("To step", "The last step shown.", "whole", unit="steps"),
    "left": Parameter(
        "From", "The left end of what is visible of the horizontal axis, in its unit.", "number"
    ),
    "right": Parameter(
        "To", "The right end of what is visible of the horizontal axis, in its unit.", "number"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Query:
    """A parsed question; empty text and None mean the figure's default."""

    runs: tuple[str, ...]
    metrics: tuple[str, ...]
    layer: str
    estimator: str
    level: str
    x: str
    range: str
    against: str
    window: int
    scale: str
    smooth: int
    units: str
    k: int
    parts: str
    budget: int | None
    rate: float | None
    adjoint: str
    quantity: str
    factor: float | None
    report: str
    residual: str
    max: int
    first: int | None
    last: int | None
    left: float | None
    right: float | None


def values(name: str) -> tuple[str, ...]:
    """The values that a parameter's choices have."""
    return tuple(choice.value for choice in PARAMETERS[name].choices)


def parse(text: Mapping[str, str]) -> Query:
    """Check every field; raises FigureError naming the first that is wrong."""
    for name in text:
        if name not in PARAMETERS:
            raise FigureError(f"unknown parameter {name!r}; allowed are {', '.join(PARAMETERS)}")
    read = {name: _read(name, text.get(name, "")) for name in PARAMETERS}
    if not read["runs"]:
        raise FigureError("no runs were named; give `runs`, ids separated by commas")
    return Query(metrics=read.pop("metric"), **read)


def _read(name: str, text: str) -> Any:
    parameter = PARAMETERS[name]
    given = text or parameter.default
    match parameter.kind:
        case "list":
            return tuple(dict.fromkeys(word.strip() for word in given.split(",") if word.strip()))
        case "choice":
            return _choice(name, given)
        case "whole":
            return _whole(name, given, *parameter.limits) if given else None
        case "positive":
            return _number(name, given, above=0.0) if given else None
        case "number":
            return _number(name, given) if given else None
        case "text":
            return given


def _choice(name: str, given: str) -> str:
    allowed = values(name)
    if given not in allowed:
        raise FigureError(f"{name} is {given!r}; allowed are {', '.join(allowed)}")
    return given


def _number(name: str, given: str, above: float = -inf) -> float:
    try:
        number = float(given)
    except ValueError:
        number = nan
    if not above < number < inf:
        allowed = "a finite number" if above == -inf else f"a number above {above:g}"
        raise FigureError(f"{name} is {given!r}; allowed is {allowed}")
    return number


def _whole(name: str, given: str, low: int, high: int) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 17 and low <= int(given) <= high):
        raise FigureError(f"{name} is {given!r}; allowed is a whole number from {low} to {high}")
    return int(given)
