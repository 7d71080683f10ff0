"""Points of one series, and the unit of each metric."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

_UNITS = {
    "loss": "nats",
    "change": "nats",
    "accuracy": "fraction",
    "readout_accuracy": "fraction",
    "own_view": "fraction",
    "bits_per_token": "bits",
    "seconds": "s",
    "stride": "steps",
    "share": "fraction",
}


@dataclass(frozen=True)
class Points:
    """New points of one series, in ascending order of step."""

    metric: str
    layer: str
    """"" for the whole network, else the name of a stage or of a parameter tensor."""
    estimator: str
    """The label of the estimator; "" for what belongs to the run."""
    unit: str
    steps: np.ndarray
    """int64: a value at step s belongs to the weights after s updates."""
    values: np.ndarray
    """float64, NaN and infinities included."""


def unit_of(metric: str) -> str:
    """The unit of a metric such as `validation/loss`; "" for numbers without one."""
    family, _, name = metric.partition("/")
    return "" if family == "estimator" else _UNITS.get(name.partition("/")[0], "")


def single(metric: str, step: int, value: float, layer: str = "", estimator: str = "") -> Points:
    """One point of a series."""
    return consecutive(metric, step, [float(value)], layer, estimator)


def consecutive(
    metric: str, first: int, values: ArrayLike, layer: str = "", estimator: str = ""
) -> Points:
    """Values at the steps `first`, `first` + 1, and so on."""
    array = np.asarray(values, dtype=np.float64)
    steps = np.arange(first, first + len(array), dtype=np.int64)
    return Points(metric, layer, estimator, unit_of(metric), steps, array)


def by_layer(
    metrics: Mapping[str, Sequence[float]], layers: Sequence[str], step: int, estimator: str
) -> Iterator[Points]:
    """One point for each metric and layer: {metric: one number a layer}."""
    for metric, values in metrics.items():
        for layer, value in zip(layers, values, strict=True):
            yield single(metric, step, value, layer, estimator)


def finite(points: Iterable[Points]) -> Iterator[Points]:
    """The single points whose value is a finite number."""
    return (each for each in points if isfinite(each.values[0]))


def joined(points: Iterable[Points]) -> list[Points]:
    """One `Points` for each series, in the order in which the series first came."""
    pieces: dict[tuple[str, str, str], list[Points]] = {}
    for piece in points:
        pieces.setdefault((piece.metric, piece.layer, piece.estimator), []).append(piece)
    return [
        Points(
            *key,
            parts[0].unit,
            np.concatenate([part.steps for part in parts]),
            np.concatenate([part.values for part in parts]),
        )
        for key, parts in pieces.items()
    ]
