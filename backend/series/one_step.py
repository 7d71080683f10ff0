"""Series of one-step draws: how the loss would change if each draw were taken as a step."""

from collections.abc import Iterator, Sequence
from math import nan

import numpy as np

from backend.series.points import Points, consecutive, single
from estimators.measurement.estimates.one_step import MIN_DRAWS_DECREASE, WhatIf


def start(loss: float, learning_rate: float | None = None) -> Iterator[Points]:
    """`what_if/loss` before the step and, of a run, `what_if/learning_rate` of its next update."""
    yield single("what_if/loss", 0, loss)
    if learning_rate is not None:
        yield single("what_if/learning_rate", 0, learning_rate)


def each_draw(result: WhatIf, label: str, first: int = 0) -> Iterator[Points]:
    """`what_if/slope`, `what_if/curvature`, `what_if/change/<rate>` and `what_if/depth` of each
    draw, the last for each stage up to which layers are updated.

    `result` holds all draws; points are made of those from number `first` on.
    """
    columns = {"slope": result.slopes, "curvature": result.curvatures}
    for place, rate in enumerate(result.rates):
        columns[f"change/{rate:.6g}"] = result.changes[:, place]
    for name, column in columns.items():
        yield consecutive(f"what_if/{name}", first, column[first:].numpy(), "", label)
    if result.by_depth is not None:
        for stage, column in zip(result.depths, result.by_depth.T, strict=True):
            yield consecutive("what_if/depth", first, column[first:].numpy(), stage, label)


def summary(result: WhatIf, label: str) -> Iterator[Points]:
    """`what_if/best_rate`, `what_if/expected_decrease` and its standard error, of all draws.

    A value that does not exist is NaN, so that an earlier one does not stand for it.
    """
    draws, decrease = len(result.slopes), result.expected_decrease
    numbers = {"best_rate": result.best_rate, "expected_decrease": decrease}
    if result.best_rate is not None and draws >= MIN_DRAWS_DECREASE:
        numbers["expected_decrease_se"] = result.decrease_se
    numbers["nonfinite"] = result.nonfinite
    if result.depth_rate is not None:
        numbers["depth_rate"] = result.depth_rate
    for name, value in numbers.items():
        yield single(f"what_if/{name}", draws, nan if value is None else value, "", label)


def rehearsal(rate: float, windows: Sequence[float], window: int, label: str) -> Points:
    """`what_if/rehearsal/<rate>`: the mean change of the loss in each window of steps at that rate;
    `step` is the last step of the window."""
    steps = window * np.arange(1, len(windows) + 1, dtype=np.int64)
    values = np.asarray(windows, dtype=np.float64)
    return Points(f"what_if/rehearsal/{rate:.6g}", "", label, "", steps, values)


def kept_rate(rate: float | None, label: str) -> Points:
    """`what_if/kept_rate`: the largest rehearsed rate that can be kept up; NaN if none can."""
    return single("what_if/kept_rate", 0, nan if rate is None else rate, "", label)
