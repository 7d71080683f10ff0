"""The draws of one estimator at a frozen point, and the measures from the draws so far."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Estimator, Params
from estimators.core.objective import Objective
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.redrawn import Redrawn, null_of_redraws, redraws
from estimators.measurement.draws.reference import growth_of_stages, rounding_floor
from estimators.measurement.draws.sketch import Sketch, cloud
from estimators.measurement.draws.solves import DrawnSolves, exact_gradient
from estimators.measurement.draws.stream import Source, draws
from estimators.measurement.draws.summary import Summary, grouped, layer_groups
from estimators.measurement.estimates.bias_test import BiasVerdict, judge_bias
from estimators.measurement.estimates.intervals import MIN_DRAWS, bounds, interval
from estimators.measurement.estimates.measures import METRICS, measures_of
from estimators.measurement.estimates.rounding import rounding_of
from estimators.measurement.estimates.tails import heavy_tails
from estimators.measurement.estimates.theory import law_of, theory
from estimators.statistics.law_check import LAW, LEVEL, NO_REFERENCE, LawCheck, check_measure
from estimators.statistics.reference import REDRAWS, is_rounding
from estimators.statistics.rounding import Rounding
from estimators.statistics.student import half_width

Watched = Mapping[str, tuple[Estimator, Any]]
"""{label: (estimator, its state)}."""


@dataclass(frozen=True, eq=False)
class Point:
    """A frozen point: objective, parameters and exact gradient."""

    objective: Objective
    params: Params
    loss: float
    exact: Params
    layers: tuple[str, ...]
    """"" (the whole network), the stages, the tensors."""
    groups: Tensor
    """Which tensors are in which layer, 0/1, (T, G)."""
    dtype: torch.dtype | None = None
    """The type in which the loss is computed; None where it is not known."""
    not_converged: int | None = None
    """The most examples of a solve for the exact gradient that did not converge; None for a network
    without equilibria."""

    floors: Tensor | None = None
    """The rounding error of the exact gradient in each layer, (G,), NaN where it is not known."""
    growth: Mapping[str, float] = field(default_factory=dict)
    """How much the activations grow in each stage."""

    @cached_property
    def norms(self) -> Tensor:
        """‖g‖ of each layer, (G,)."""
        squares = [g.double().square().sum().item() for g in self.exact.values()]
        return (torch.tensor(squares, dtype=torch.float64) @ self.groups).sqrt()

    @cached_property
    def rounded(self) -> tuple[bool, ...]:
        """Whether the exact gradient of each layer is rounding."""
        floors = [math.nan] * len(self.layers) if self.floors is None else self.floors.tolist()
        return tuple(map(is_rounding, self.norms.tolist(), floors))


def point(objective: Objective, params: Params) -> Point:
    """The frozen point at `params`. Its exact gradient is computed once, for all estimators."""
    loss, exact, lost = exact_gradient(objective, params)
    layers, groups = layer_groups(objective, list(exact))
    floors = rounding_floor(objective, params, exact).cpu()
    growth = {name: ratio.item() for name, ratio in growth_of_stages(objective, params).items()}
    return Point(
        objective, params, loss.item(), exact, layers, groups, loss.dtype, lost,
        grouped(floors.square(), groups).sqrt(), growth,
    )  # fmt: skip


@dataclass(eq=False)
class Observation:
    """The draws of one estimator so far. Numbers of layers are in the order of `at.layers`."""

    label: str
    estimator: Estimator
    state: Any
    at: Point
    source: Source = "honest"
    """honest: draws of the estimator itself; oracle: projections of the exact gradient."""
    seed: int = 0
    sketched: bool = True
    """Whether a sketch of the draws is kept, which the cloud and the verdicts on bias need."""
    moments: Moments = field(init=False)
    sketch: Sketch | None = field(init=False)
    solves: DrawnSolves = field(init=False)
    """The solves of the honest draws."""

    _redraws: list[Tensor] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.solves = DrawnSolves(self.at.objective)
        self.moments = Moments(self.at.exact)
        # The same sketch for every seed of the draws, so that observations can be merged.
        self.sketch = Sketch(self.at.exact) if self.sketched else None

    def __len__(self) -> int:
        return len(self.moments)

    def take(self, count: int, step: int = 0) -> Iterator["Observation"]:
        """Draw `count` times; yields itself after each chunk, so that results can be shown
        early."""
        chunks = draws(
            self.at.objective, self.at.params, self.estimator, self.state, count, self.seed, step,
            label=self.label, source=self.source, exact=self.at.exact, solves=self.solves,
        )  # fmt: skip
        for chunk in chunks:
            self.moments.add(chunk)
            if self.sketch is not None:
                self.sketch.add(chunk)
            del chunk  # before the next one is drawn
            yield self

    def merge(self, other: "Observation") -> None:
        """Add the draws of another seed."""
        self.moments.merge(other.moments)
        self.solves.merge(other.solves)
        if self.sketch is not None and other.sketch is not None:
            self.sketch.merge(other.sketch)

    def summary(self) -> Summary:
        """What the measures are computed from."""
        return self.moments.summary(self.at.groups)

    def redrawing(self) -> Iterator[None]:
        """Make the redraws of `redrawn`, as many as there are draws, at most 64, one at a time."""
        at, self._redraws = self.at, []
        rows = redraws(
            at.objective, at.params, self.estimator, at.exact, min(REDRAWS, len(self)),
            self.seed, label=self.label,
        )  # fmt: skip
        for row in rows:
            self._redraws.append(row)
            yield

    def redrawn(self) -> Redrawn | None:
        """The null by redrawing feedback; None where `init` draws none, or of fewer than two."""
        if self._redraws is None:
            for _ in self.redrawing():
                pass
        rows = self._redraws or []
        if len(rows) < 2:
            return None
        return null_of_redraws(rows, self.at.norms.square(), self.at.groups)

    def heavy_tails(self) -> tuple[bool | None, ...]:
        """Whether the draws are heavy-tailed in each layer; None for too few draws to tell."""
        innovations = self.moments.innovations(self.at.groups)
        return heavy_tails(innovations, self.summary().squares)

    def lost(self) -> tuple[int, ...]:
        """Draws that are not finite, in each layer."""
        return tuple((len(self) - self.summary().counts).tolist())

    def values(self) -> dict[str, Tensor]:
        """Each of `METRICS`, (G,)."""
        return measures_of(self.summary())

    def intervals(self, level: float = 0.95) -> dict[str, tuple[Tensor, Tensor]]:
        """Low and high ends, (G,), of the measures that have an interval; NaN for too few draws."""
        summary, innovations = self.summary(), self.moments.innovations(self.at.groups)
        intervals = {metric: interval(metric, summary, innovations, level) for metric in MIN_DRAWS}
        return {metric: ends for metric, ends in intervals.items() if ends is not None}

    def standard_errors(self) -> dict[str, Tensor]:
        """`{<measure>_se: (G,)}`, from the number of draws on from which the 95 % interval holds.

        The squared bias and the slope have standard errors of their own among the measures.
        """
        width = 2 * half_width(max(2, len(self)))
        return {
            f"{metric}_se": (high - low) / width
            for metric, (low, high) in self.intervals().items()
            if f"{metric}_se" not in METRICS
        }

    def theory(self) -> dict[str, Tensor]:
        """The measures by the estimator's law, (G,); empty where none is known."""
        at = self.at
        law = law_of(self.estimator, at.objective, at.params, self.state, at.exact)
        return {} if law is None else theory(law, at.exact, at.groups)

    def rounding(self) -> Rounding | None:
        """The rounding of the loss beside the differences of it that a draw takes, if it does."""
        at = self.at
        if at.dtype is None:
            return None
        return rounding_of(self.estimator, at.params, at.norms[0].item(), at.loss, at.dtype)

    def law_checks(self, laws: Mapping[str, Tensor] | None = None) -> dict[str, list[LawCheck]]:
        """Whether the draws agree with the law: a check of each measure that has one, by layer.

        `laws` are the values of `theory`, if they are known already.
        """
        laws = self.theory() if laws is None else laws
        if not laws:
            return {}
        numbers = {
            **self.values(), **self.standard_errors(),
            **{LAW + metric: values for metric, values in laws.items()},
        }  # fmt: skip
        columns = {name: values.tolist() for name, values in numbers.items()}
        by_layer = [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
        summary, innovations = self.summary(), self.moments.innovations(self.at.groups)
        counts, checks = summary.counts.tolist(), {}
        for metric in laws:
            if metric in MIN_DRAWS:
                low, high = bounds(metric, summary, innovations, LEVEL)
                ends = zip(low.tolist(), high.tolist(), strict=True)
                rows = zip(by_layer, counts, ends, strict=True)
                checks[metric] = [
                    NO_REFERENCE if rounded else check_measure(metric, *row)
                    for row, rounded in zip(rows, self.at.rounded, strict=True)
                ]
        return checks

    def verdicts(self) -> tuple[BiasVerdict, ...]:
        """Whether the mean is the target (the estimator's own, or the exact gradient), by layer.

        Empty without a sketch.
        """
        if self.sketch is None:
            return ()
        at, eps = self.at, torch.finfo(next(iter(self.at.exact.values())).dtype).eps
        target = self.estimator.target(at.objective, at.params, self.state)
        dots, products, before = (self.moments.numbers[..., i] for i in (0, 3, 4))
        # These products are of errors from the exact gradient, not from another target.
        sums = None if target is not None else products * before
        return judge_bias(
            at.layers, at.groups, dots, _products(at.exact, at.exact),
            _products(target or at.exact, at.exact), self.sketch.errors(target), sums,
            precision=50 * eps,
        )  # fmt: skip

    def cosines(self, layer: str = "") -> Tensor:
        """The cosine of each draw, (K,)."""
        return self.summary().cosines[:, self.at.layers.index(layer)]

    def norm_ratios(self, layer: str = "") -> Tensor:
        """‖ĝ_k‖ / ‖g‖ of each draw, (K,); NaN for a zero gradient."""
        i, summary = self.at.layers.index(layer), self.summary()
        exact = summary.exact[i].sqrt() if summary.exact[i] > 0 else torch.nan
        return summary.norms[:, i] / exact

    def cloud(self) -> tuple[Tensor, Tensor, float]:
        """(x, y, share) of the draws of the whole network: see `sketch.cloud`."""
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
    """Draw all estimators of `watched` in turn, a chunk each; yields each observation as it grows.

    The first results come early, and no estimator waits for another. Another seed makes other
    draws; observations of different seeds can be merged. `stop` is called after each round of
    chunks, and ends the drawing where it returns True. Raises ValueError for fewer than one draw or
    without estimators.
    """
    if count < 1 or not watched:
        raise ValueError(
            f"{count} draws of {len(watched)} estimators were asked for; at least 1 of each"
        )
    at, sources = point(objective, params), sources or {}
    observations = [
        Observation(label, e, state, at, sources.get(label, "honest"), seed, sketched)
        for label, (e, state) in watched.items()
    ]
    turns = [observation.take(count, step) for observation in observations]
    while turns and not stop():
        going = []
        for turn in turns:
            observation = next(turn, None)
            if observation is not None:
                going.append(turn)
                yield observation
        turns = going


def _products(x: Params, y: Params) -> Tensor:
    """⟨x, y⟩ of each tensor, (T,)."""
    products = [(x[name].double() * y[name].double()).sum().item() for name in y]
    return torch.tensor(products, dtype=torch.float64)
