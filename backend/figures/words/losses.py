"""What curves of the loss or the accuracy say of the runs that they show."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.figures.data.metrics import larger_is_better, metric, split_of
from backend.figures.data.select import Line
from backend.figures.data.source import Floats, RunLike, Source
from backend.figures.words.names import one_line
from backend.figures.words.numbers import in_full, percent
from backend.figures.words.sentences import counted, fitting, too_early

MIN_POINTS = 5
"""Fewest points of a training metric of which anything is said."""
LAST = 8
"""Points at the end of a training metric that are averaged: each is of one batch alone."""
NAMED = 3
"""Most runs that a sentence names."""
SPLIT_WORDS = {"test": "test", "validation": "validation", "train": "training"}
"""The parts of the data, from the one that tells most."""


class Curve(NamedTuple):
    """One metric of one run, as it is drawn."""

    run_id: str
    run: RunLike
    metric: str
    steps: NDArray[np.int64]
    values: Floats
    """The drawn points, both (n,)."""
    newest: Floats
    """The newest points without thinning, at most `LAST`, (m,)."""


def curve_of(source: Source, line: Line, steps: NDArray[np.int64], values: Floats) -> Curve:
    """A line with the points that are drawn of it."""
    newest = source.points(line.series.id, newest=LAST).values
    return Curve(line.run_id, line.run, line.series.metric, steps, values, newest)


def takeaway(curves: Sequence[Curve]) -> str:
    """What these curves of one kind of metric (loss, or accuracy) say; "" without a point."""
    by_run: dict[str, dict[str, Curve]] = {}
    for curve in curves:
        if len(curve.values):
            by_run.setdefault(curve.run_id, {})[split_of(curve.metric)] = curve
    if not by_run:
        return ""
    most = max(len(curve.values) for parts in by_run.values() for curve in parts.values())
    if most < MIN_POINTS and not any("test" in parts for parts in by_run.values()):
        return too_early(most, "point", MIN_POINTS)
    if len(by_run) == 1:
        return _of_run(next(iter(by_run.values())))
    return _of_runs(by_run)


def _of_run(parts: Mapping[str, Curve]) -> str:
    if lost := _diverged(parts):
        return lost
    said = [part for part in SPLIT_WORDS if part in parts]
    if not said:
        return _of_one(next(iter(parts.values())))
    best, step = said[0], max(int(curve.steps[-1]) for curve in parts.values())
    kind = _kind(parts[best])
    first = f"{SPLIT_WORDS[best]} {kind} is {_value(parts[best])} at step {step:,}"
    rest = [f"{SPLIT_WORDS[part]} {_value(parts[part])}" for part in said[1:]]
    start = ""
    if said == ["train"]:
        start = f", from {_text(parts[best], float(parts[best].values[0]))} at first"
    return fitting(f"{first}{start}{''.join(f', {each}' for each in rest)}", first + start, first)


def _of_one(curve: Curve) -> str:
    what = metric(curve.metric).short
    return fitting(f"{what} is {_value(curve)} at step {int(curve.steps[-1]):,}")


def _diverged(parts: Mapping[str, Curve]) -> str:
    """Where the training metric stopped being a number."""
    curve = parts.get("train") or next(iter(parts.values()))
    odd = np.flatnonzero(~np.isfinite(curve.values))
    if not len(odd) or np.isfinite(curve.values[-1]):
        return ""
    step = int(curve.steps[odd[0]])
    return fitting(f"The {_kind(curve)} stopped being a number at step {step:,}")


def _of_runs(by_run: Mapping[str, Mapping[str, Curve]]) -> str:
    """Every run has one seed: their values are listed, or the best and the worst are."""
    shared = [part for part in SPLIT_WORDS if all(part in own for own in by_run.values())]
    part = shared[0] if shared else ""
    shown = [own.get(part) or next(iter(own.values())) for own in by_run.values()]
    finite = [curve for curve in shown if np.isfinite(_last(curve))]
    lost = len(shown) - len(finite)
    kind = f"{SPLIT_WORDS.get(part, '')} {_kind(shown[0])}".strip()
    ended = f", {lost} diverged" if lost else ""
    if not finite:
        return fitting(f"All {len(shown)} runs diverged")
    best_first = sorted(finite, key=_last, reverse=larger_is_better(shown[0].metric))
    values = [f"{_run(curve)} {_value(curve)}" for curve in best_first]
    if len(finite) <= NAMED:
        return fitting(f"{kind}: {', '.join(values)}{ended}", f"{kind}: {values[0]}{ended}")
    names = "highest", "lowest"
    best, worst = names if larger_is_better(shown[0].metric) else names[::-1]
    runs = counted(len(shown), "run")
    return fitting(
        f"{best} {kind} of {runs}: {values[0]}, {worst} {values[-1]}{ended}",
        f"{best} {kind} of {runs}: {values[0]}{ended}",
        f"{best} {kind}: {values[0]}",
    )


def _run(curve: Curve) -> str:
    number = curve.run.number
    return f"#{number}" if number is not None else one_line(curve.run.name)[:24]


def _kind(curve: Curve) -> str:
    return metric(curve.metric).short


def _last(curve: Curve) -> float:
    """The newest value; of a training metric, the mean of the newest."""
    if not np.isfinite(curve.newest[-1]) or curve.run.status == "diverged":
        return np.nan
    newest = curve.newest if split_of(curve.metric) == "train" else curve.newest[-1:]
    with np.errstate(over="ignore"):
        return float(newest[np.isfinite(newest)].mean())


def _value(curve: Curve) -> str:
    return _text(curve, _last(curve))


def _text(curve: Curve, value: float) -> str:
    return percent(value) if metric(curve.metric).fraction else in_full(value)
