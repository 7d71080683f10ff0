"""One estimator under the microscope: its draws so far, and the records of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.training.components.assemble import Labelled
from backend.training.point_buffer import unit
from backend.training.records import Event, Points
from estimators.core.objective import Chain
from estimators.measurement.draws.stream import FIRST, MOST, Source, draws, source_of
from estimators.measurement.draws.summary import grouped, ratio
from estimators.measurement.estimates.bias_test import MIN_DRAWS
from estimators.measurement.estimates.observation import Observation, Point
from estimators.statistics.law_check import RECORD

WORK = 512
"""Forward passes of a chunk: between two chunks a cancellation is heard."""
RETOLD = 10_000
"""Draws up to which there is a verdict: what it resamples takes memory by the draw."""


class Drawing:
    """`count` draws of one estimator at a frozen point, and what is new of them, as points."""

    def __init__(
        self, one: Labelled, at: Point, state: Any, count: int, seed: int, step: int,
        *, along: bool = True, source: Source = "honest",
    ) -> None:  # fmt: skip
        """`along`: whether the draws themselves are told, not their measures alone; `source`: the
        oracle's, where it has one."""
        self.label, self.count, self._along = one.label, count, along
        self.source = source_of(source, one.estimator, at.objective, at.params, state, at.exact)
        self.asked = source
        self._of = Observation(one.label, one.estimator, state, at, self.source, seed, along)
        # The network and its stages: one number a draw for every tensor would be too many.
        self._whole = [i for i, name in enumerate(at.layers) if name not in at.exact]
        self._chunks = draws(
            at.objective, at.params, one.estimator, state, count, seed, step, label=one.label,
            source=self.source, exact=at.exact, chunk=_chunk(one, at),
        )  # fmt: skip
        self._told, self._next = 0, FIRST
        self._waiting: list[Points] = []

    @property
    def made(self) -> int:
        return len(self._of)

    def take(self) -> None:
        """Draw one more chunk."""
        chunk = next(self._chunks)
        self._of.moments.add(chunk)
        if self._of.sketch is not None:
            self._of.sketch.add(chunk)
        if self._along and (self._next <= self.made or self.made == self.count):
            while self._next <= self.made:
                self._next *= 2
            self._waiting += [*self.measures("", self.made), *self.law_checks("", self.made)]

    def points(self) -> Iterator[Points]:
        """What each draw since the last call gave, and the measures at 8, 16, 32, … of them."""
        yield from self._each()
        yield from self._waiting
        self._waiting = []

    def last(self) -> Iterator[Points | Event]:
        """What only all draws together tell: the cloud, and verdicts on the bias."""
        _, y, _ = self._of.cloud()
        steps = np.arange(self.made, dtype=np.int64)
        yield self._points("draw/across", "", steps, y.numpy())
        if not MIN_DRAWS <= self.made <= RETOLD:
            return
        for verdict in self._of.verdicts():
            told = np.nan if verdict.biased is None else float(verdict.biased)
            found = {"biased": told, "bias": verdict.bias, "bound": verdict.bound}
            for name, value in found.items():
                yield self._point(f"verdict/{name}", verdict.layer, value, self.made)
            if verdict.layer == "":
                yield Event(self.made, "verdict", f"{self.label}: {verdict.text}")
        yield self._point("verdict/target", "", float(self._has_target), self.made)

    def measures(self, prefix: str, step: int) -> Iterator[Points]:
        """Every measure of all draws so far, its standard error, and what the law says of it."""
        yield from self.measured(prefix, step)
        yield from self.laws(prefix, step)

    def laws(self, prefix: str, step: int) -> Iterator[Points]:
        """What the law says of the measures; it needs no draw."""
        yield from self._known(f"{prefix}law/", self._law, step)

    def law_checks(self, prefix: str, step: int) -> Iterator[Points]:
        """Whether the measures agree with the law: 1 agrees, 0 disagrees."""
        for metric, checks in self._of.law_checks(self._law).items():
            records = torch.tensor([check.record for check in checks])
            yield from self._known(f"{prefix}{RECORD}", {metric: records}, step)

    def drawn(self, prefix: str, step: int) -> Iterator[Points]:
        """Where an oracle was asked for: whether (1) or not (0) it makes the draws."""
        if self.asked == "oracle":
            yield self._point(f"{prefix}draw/oracle", "", float(self.source == "oracle"), step)

    def measured(self, prefix: str, step: int) -> Iterator[Points]:
        """Every measure of all draws so far and its standard error."""
        yield from self._rows(prefix, self._of.values(), step)
        yield from self._known(prefix, self._of.standard_errors(), step)
        lost = float(self._of.moments.nonfinite)
        yield self._point(f"{prefix}draw/nonfinite", "", lost, step)

    @property
    def _has_target(self) -> bool:
        """Whether it estimates something else than the exact gradient."""
        of, at = self._of, self._of.at
        return of.estimator.target(at.objective, at.params, of.state) is not None

    @cached_property
    def _law(self) -> Mapping[str, Tensor]:
        return self._of.theory()

    def _known(self, prefix: str, found: Mapping[str, Tensor], step: int) -> Iterator[Points]:
        yield from (p for p in self._rows(prefix, found, step) if np.isfinite(p.values[0]))

    def _rows(self, prefix: str, found: Mapping[str, Tensor], step: int) -> Iterator[Points]:
        for metric, values in found.items():
            for layer, value in zip(self._of.at.layers, values.tolist(), strict=True):
                yield self._point(prefix + metric, layer, value, step)

    def _each(self) -> Iterator[Points]:
        first, self._told = self._told, self.made
        if first == self.made:
            return
        at = self._of.at
        numbers, groups = self._of.moments.numbers[first:], at.groups[:, self._whole]
        dots, squares = (grouped(numbers[..., i], groups) for i in (0, 1))
        g2 = at.norms[self._whole].square()
        g2 = torch.where(g2 > 0, g2, torch.nan)
        of_each = {
            "draw/cosine": ratio(dots, (squares * g2).sqrt()),
            "draw/norm_ratio": (squares / g2).sqrt(),
            "draw/along": dots / g2,
        }
        steps = np.arange(first, self.made, dtype=np.int64)
        for metric, table in of_each.items():
            for place, values in zip(self._whole, table.T, strict=True):
                yield self._points(metric, at.layers[place], steps, values.numpy())

    def _point(self, metric: str, layer: str, value: float, step: int) -> Points:
        return self._points(metric, layer, np.array([step], dtype=np.int64), np.array([value]))

    def _points(self, metric: str, layer: str, steps: np.ndarray, values: np.ndarray) -> Points:
        return Points(metric, layer, self.label, unit(metric), steps, values)


def sources(drawings: Sequence[Drawing], where: str = "") -> Iterator[Event]:
    """Which are drawn honestly, though an oracle was asked for."""
    if honest := [one.label for one in drawings if one.asked != one.source]:
        text = f"{', '.join(honest)}: no oracle{where}, so drawn honestly"
        yield Event(0, "source", text)


def _chunk(one: Labelled, at: Point) -> int:
    """A divisor of the numbers of draws at which measures are taken, where it can be one."""
    assert isinstance(at.objective, Chain)
    size = sum(g.numel() for g in at.exact.values())
    work = max(1.0, one.estimator.cost(at.objective).forward_equivalents)
    return max(1, min(FIRST, MOST // size, int(WORK / work)))
