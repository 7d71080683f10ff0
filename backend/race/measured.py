"""`Measured`: what the race's page draws of a run: alignment at each probe, and the loss."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.race.preset import Preset

BLOCK = 16
"""Steps whose losses are averaged to one point of the curve."""
DIGITS = 4
"""Significant digits of every number: more than a picture shows."""

Key = tuple[str, str, str]
"""(metric, layer, estimator)."""
Series = tuple[Sequence[int], Sequence[float]]
"""Steps and values."""
Number = float | None


@dataclass(frozen=True)
class Track:
    """The alignment of an estimator, a number a probe: None where it is not defined."""

    whole: list[Number]
    """The cosine with the exact gradient over the whole network, the mean of the draws."""
    spread: list[Number]
    """The standard deviation of that cosine between draws."""
    layers: dict[str, list[Number]]
    """The mean cosine within each layer."""


@dataclass(frozen=True)
class Loss:
    """The training loss in blocks of `BLOCK` steps, a number a block that is complete."""

    mean: list[Number]
    low: list[Number]
    high: list[Number]

    def at(self, step: int) -> Number:
        """The mean of the block that contains a step, or of the last one before it."""
        seen = self.mean[: step // BLOCK + 1]
        return seen[-1] if seen else None


@dataclass(frozen=True)
class Reading:
    """What the network reads in validation examples, a number a probe."""

    right: list[Number]
    """The share of all validation examples that it reads rightly."""
    classes: list[list[int | None]]
    """Of each example that is shown, the predicted class."""


@dataclass(frozen=True)
class Measured:
    """What is known of a run of the race."""

    steps: list[int]
    """Steps of the probes."""
    tracks: dict[str, Track]
    """By the estimator's label."""
    loss: Loss
    reading: Reading
    unbiased: dict[str, bool] = field(default_factory=dict)
    """Whether the estimator claims that its mean is the exact gradient, by label."""
    drives: list[tuple[int, str]] = field(default_factory=list)
    """(step, label): from which step on each driver drove."""

    def document(self) -> dict[str, Any]:
        """Plain data for JSON."""
        tracks = {label: dict(vars(track)) for label, track in self.tracks.items()}
        return {
            **vars(self),
            "tracks": tracks,
            "loss": dict(vars(self.loss)),
            "reading": dict(vars(self.reading)),
        }


def from_document(document: Mapping[str, Any]) -> Measured:
    """What `Measured.document` returned. Raises KeyError or TypeError for anything else."""
    return Measured(
        steps=document["steps"],
        tracks={label: Track(**track) for label, track in document["tracks"].items()},
        loss=Loss(**document["loss"]),
        reading=Reading(**document["reading"]),
        unbiased=document["unbiased"],
        drives=[(step, label) for step, label in document["drives"]],
    )


def measure(
    preset: Preset,
    read: Callable[[Key], Series],
    unbiased: Mapping[str, bool],
    drives: Sequence[tuple[int, str]],
) -> Measured:
    """What is known of a run whose series `read` returns; an absent series is empty.

    A probe counts once each estimator has been measured at it.
    """
    whole = {
        racer.label: _by_step(read(("cosine", "", racer.label))) for racer in preset.estimators
    }
    steps = sorted(set.intersection(*(set(each) for each in whole.values())))

    def along(metric: str, layer: str, label: str) -> list[Number]:
        values = _by_step(read((metric, layer, label)))
        return [values.get(step) for step in steps]

    tracks = {
        label: Track(
            whole=[values[step] for step in steps],
            spread=along("cosine_sd", "", label),
            layers={each.name: along("cosine", each.name, label) for each in preset.layers},
        )
        for label, values in whole.items()
    }
    loss = _blocks(*read(("train/loss", "", "")))
    return Measured(
        steps, tracks, loss, _reading(preset, read, steps), dict(unbiased), list(drives)
    )


def _reading(preset: Preset, read: Callable[[Key], Series], steps: Sequence[int]) -> Reading:
    """At the steps of the probes, which are among those of the evaluations."""
    right = _by_step(read(("validation/accuracy", "", "")))
    classes = [
        _by_step(read((f"validation/prediction/{place}", "", "")))
        for place in range(preset.config.shown_examples)
    ]
    return Reading(
        right=[right.get(step) for step in steps],
        classes=[[_class(each.get(step)) for step in steps] for each in classes],
    )


def _class(value: Number) -> int | None:
    return None if value is None else int(value)


def _by_step(series: Series) -> dict[int, Number]:
    return {int(step): rounded(value) for step, value in zip(*series, strict=True)}


def rounded(value: float) -> Number:
    """The number in `DIGITS` significant digits; None if it is not finite."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _blocks(steps: Sequence[int], values: Sequence[float]) -> Loss:
    """The blocks of a loss that has a value at each step from 0 on."""
    numbers = np.asarray(values, dtype=np.float64)
    count = len(numbers) // BLOCK if len(steps) and steps[0] == 0 else 0
    rows = numbers[: count * BLOCK].reshape(count, BLOCK)
    return Loss(*([rounded(x) for x in f(rows, axis=1)] for f in (np.mean, np.min, np.max)))
