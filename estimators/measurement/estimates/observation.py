"""What is known of one estimator at a frozen point, while its draws come in."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import Estimator, Params
from estimators.core.objective import Objective
from estimators.measurement.draws.layers import layers_of
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.sketch import Sketch, cloud
from estimators.measurement.draws.stream import Source, draws
from estimators.measurement.draws.summary import Summary, grouped
from estimators.measurement.estimates.intervals import LEAST, bounds, interval
from estimators.measurement.estimates.measures import statistics
from estimators.measurement.estimates.theory import law, theory
from estimators.measurement.estimates.verdicts import Verdict, verdicts

LAMP = 64
"""Fewest draws that are held against a law."""
CERTAIN = 1 - 5.7e-7
"""Level of the interval that a law must leave to be called wrong: 5 standard errors, if normal."""

Watched = Mapping[str, tuple[Estimator, Any]]
"""{label: (estimator, its state)}."""


@dataclass(frozen=True, eq=False)
class Point:
    """A frozen point: what is differentiated there, and its exact gradient."""

    objective: Objective
    params: Params
    loss: float
    exact: Params
    layers: tuple[str, ...]
    """"" (the whole network), the stages, the tensors."""
    groups: Tensor
    """Which tensors are in which layer, 0/1, (T, G)."""

    @cached_property
    def norms(self) -> Tensor:
        """‖g‖ of each layer, (G,)."""
        squares = [g.double().square().sum().item() for g in self.exact.values()]
        return (torch.tensor(squares, dtype=torch.float64) @ self.groups).sqrt()


def point(objective: Objective, params: Params) -> Point:
    """Take the exact gradient at `params`: once, for all that is measured there."""
    loss, exact = value_and_grad(objective, params)
    layers, groups = layers_of(objective, list(exact))
    return Point(objective, params, loss.item(), exact, layers, groups)


@dataclass(eq=False)
class Observation:
    """The draws of one estimator so far; every number of a layer is at its place in `at.layers`."""

    label: str
    estimator: Estimator
    state: Any
    at: Point
    source: Source = "honest"
    """honest: the estimator's own draws. oracle: projections of the exact gradient."""
    seed: int = 0
    sketched: bool = True
    """Whether the cloud and the verdicts can be had."""
    moments: Moments = field(init=False)
    sketch: Sketch | None = field(init=False)

    def __post_init__(self) -> None:
        self.moments = Moments(self.at.exact)
        # One sketch for all seeds of draws, so that resampled ones can be merged.
        self.sketch = Sketch(self.at.exact) if self.sketched else None

    def __len__(self) -> int:
        return len(self.moments)

    def take(self, count: int, step: int = 0) -> Iterator["Observation"]:
        """Draw `count` times; itself after each chunk, so that what is known can be shown."""
        found = draws(
            self.at.objective, self.at.params, self.estimator, self.state, count, self.seed, step,
            label=self.label, source=self.source, exact=self.at.exact,
        )  # fmt: skip
        for chunk in found:
            self.moments.add(chunk)
            if self.sketch is not None:
                self.sketch.add(chunk)
            del chunk  # before the next one is drawn
            yield self

    def merge(self, other: "Observation") -> None:
        """Take in the draws of another seed."""
        self.moments.merge(other.moments)
        if self.sketch is not None and other.sketch is not None:
            self.sketch.merge(other.sketch)

    def summary(self) -> Summary:
        """What the measures are made of."""
        return self.moments.summary(self.at.groups)

    def values(self) -> dict[str, Tensor]:
        """Each of `METRICS`, (G,)."""
        return statistics(self.summary())

    def intervals(self, level: float = 0.95) -> dict[str, tuple[Tensor, Tensor]]:
        """Of the measures that have one: low and high ends, (G,); NaN below its least draws."""
        of, innovations = self.summary(), self.moments.innovations(self.at.groups)
        found = {metric: interval(metric, of, innovations, level) for metric in LEAST}
        return {metric: ends for metric, ends in found.items() if ends is not None}

    def theory(self) -> dict[str, Tensor]:
        """What the law says of the measures, (G,); empty where none is known."""
        at = self.at
        found = law(self.estimator, at.objective, at.params, self.state, at.exact)
        return {} if found is None else theory(found, at.exact, at.groups)

    def lamps(self, laws: Mapping[str, Tensor] | None = None) -> dict[str, list[str]]:
        """Whether the draws agree with the law, for each layer: agrees, disagrees, no law, or too
        few draws. They disagree where the law is outside the interval of the level `CERTAIN`. By
        `theory`, unless what it said before is given: `laws`.
        """
        of, innovations = self.summary(), self.moments.innovations(self.at.groups)
        few = of.counts < LAMP
        found = {}
        for metric, predicted in (self.theory() if laws is None else laws).items():
            if metric not in LEAST:
                continue
            low, high = bounds(metric, of, innovations, CERTAIN)
            low = torch.where(few, torch.nan, low)
            columns = zip(predicted.tolist(), low.tolist(), high.tolist(), strict=True)
            found[metric] = [_lamp(*each) for each in columns]
        return found

    def verdicts(self) -> tuple[Verdict, ...]:
        """Whether its mean is what it estimates, its target or the exact gradient, in each layer.

        Empty without a sketch.
        """
        if self.sketch is None:
            return ()
        at, eps = self.at, torch.finfo(next(iter(self.at.exact.values())).dtype).eps
        target = self.estimator.target(at.objective, at.params, self.state)
        dots, _, _, lookahead, before = self.moments.numbers.unbind(-1)
        # Lookaheads are about the exact gradient: of no use beside another target.
        ahead = None if target is not None else lookahead * before
        return verdicts(
            at.layers, at.groups, dots, _products(at.exact, at.exact),
            _products(target or at.exact, at.exact), self.sketch.errors(target), ahead,
            precision=50 * eps,
        )  # fmt: skip

    def cosines(self, layer: str = "") -> Tensor:
        """Of each draw, (K,): a histogram's numbers."""
        return self.summary().cosines[:, self.at.layers.index(layer)]

    def norm_ratios(self, layer: str = "") -> Tensor:
        """‖ĝ_k‖ / ‖g‖ of each draw, (K,); NaN for a zero gradient."""
        i, of = self.at.layers.index(layer), self.summary()
        return of.norms[:, i] / (of.exact[i].sqrt() if of.exact[i] > 0 else torch.nan)

    def cloud(self) -> tuple[Tensor, Tensor, float]:
        """(x, y, share) of the whole network's draws: see `sketch.cloud`."""
        if self.sketch is None:
            raise ValueError("this observation keeps no sketch; make it with sketched=True")
        whole = torch.ones(len(self.at.exact), 1, dtype=torch.float64)
        dots = grouped(self.moments.numbers[..., 0], whole)[:, 0]
        return cloud(dots, self.at.norms[0].square(), self.sketch)


def observe(
    objective: Objective,
    params: Params,
    watched: Watched,
    count: int = 64,
    seed: int = 0,
    step: int = 0,
    *,
    sources: Mapping[str, Source] | None = None,
    sketched: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Observation]:
    """Draw all of `watched`, in turns of a chunk; each observation as it grows.

    The first results come early, and none waits for another. Another seed draws anew (merge the
    observations for more draws). `stop` is asked between chunks. Raises ValueError for fewer than
    one draw or nothing to watch.
    """
    if count < 1 or not watched:
        raise ValueError(f"{count} draws of {len(watched)} estimators; at least 1 of each")
    at, sources = point(objective, params), sources or {}
    made = [
        Observation(label, e, state, at, sources.get(label, "honest"), seed, sketched)
        for label, (e, state) in watched.items()
    ]
    turns = [one.take(count, step) for one in made]
    while turns and not stop():
        going = []
        for turn in turns:
            found = next(turn, None)
            if found is not None:
                going.append(turn)
                yield found
        turns = going


def _products(x: Params, y: Params) -> Tensor:
    """⟨x, y⟩ of each tensor, (T,)."""
    found = [(x[name].double() * y[name].double()).sum().item() for name in y]
    return torch.tensor(found, dtype=torch.float64)


def _lamp(law: float, low: float, high: float) -> str:
    if math.isnan(law):
        return "no law"
    if math.isnan(low):
        return "too few draws"
    rounding = 1e-6 * max(1.0, abs(law))
    return "agrees" if low - rounding <= law <= high + rounding else "disagrees"
