"""The draws of one estimator at a frozen point, and the points of their series as they grow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from backend.series.draws import EstimatorSeries
from backend.series.points import Points
from backend.training.components.assemble import Labelled
from backend.training.records import Event
from estimators.core.contract import Estimator, Params
from estimators.core.objective import Chain
from estimators.measurement.draws.stream import FIRST as FIRST_CHUNK
from estimators.measurement.draws.stream import MOST as MAX_NUMBERS
from estimators.measurement.draws.stream import Source, draws, source_of
from estimators.measurement.estimates.bias_test import MIN_DRAWS as MIN_DRAWS_OF_VERDICT
from estimators.measurement.estimates.observation import Observation, Point
from estimators.measurement.results.draw_record import single_draws

CHUNK_FORWARDS = 512
"""Forward passes of a chunk at most; a cancellation is obeyed between two chunks."""
MAX_DRAWS_OF_VERDICT = 10_000
"""Draws up to which there is a verdict: resampling takes memory in proportion to them."""


class EstimatorDraws:
    """`count` draws of one estimator at a frozen point; no draw is made before `take`."""

    def __init__(
        self, labelled: Labelled, at: Point, state: Any, count: int, seed: int, step: int,
        *, each_draw: bool = True, source: Source = "honest", prefix: str = "",
    ) -> None:  # fmt: skip
        """`each_draw`: whether single draws are series too, beside their measures; `source`: the
        one asked for, which is used if the estimator has it; `prefix`: of the metrics' names."""
        label, estimator = labelled
        self.label, self.count, self.asked = label, count, source
        self.source = source_of(source, estimator, at.objective, at.params, state, at.exact)
        self._each_draw = each_draw
        self._observation = Observation(label, estimator, state, at, self.source, seed, each_draw)
        self._series = EstimatorSeries(label, at.layers, prefix)
        assert isinstance(at.objective, Chain)
        self._chunks = draws(
            at.objective, at.params, estimator, state, count, seed, step, label=label,
            source=self.source, exact=at.exact, chunk=chunk_size(estimator, at.objective, at.exact),
            solves=self._observation.solves,
        )  # fmt: skip
        self._reported, self._next = 0, FIRST_CHUNK
        self._waiting: list[Points] = []

    @property
    def made(self) -> int:
        """Draws so far."""
        return len(self._observation)

    def take(self) -> None:
        """Draw one more chunk."""
        chunk = next(self._chunks)
        self._observation.moments.add(chunk)
        if self._observation.sketch is not None:
            self._observation.sketch.add(chunk)
        if self._each_draw and (self._next <= self.made or self.made == self.count):
            while self._next <= self.made:
                self._next *= 2
            self._waiting += [*self.measures(self.made), *self.laws(self.made)]

    def points(self) -> Iterator[Points]:
        """Each draw since the last call, and the measures at 8, 16, 32, … draws."""
        first, self._reported = self._reported, self.made
        if first < self.made:
            yield from self._series.each_draw(single_draws(self._observation, first), first)
        yield from self._waiting
        self._waiting = []

    def last(self) -> Iterator[Points | Event]:
        """What only all draws together give: the cloud, and the verdicts on the bias."""
        observation = self._observation
        yield self._series.across(observation.cloud()[1].numpy())
        if not MIN_DRAWS_OF_VERDICT <= self.made <= MAX_DRAWS_OF_VERDICT:
            return
        verdicts = observation.verdicts()
        at = observation.at
        target = observation.estimator.target(at.objective, at.params, observation.state)
        yield from self._series.verdicts(verdicts, target is not None, self.made)
        for verdict in verdicts:
            if verdict.layer == "":
                yield Event(self.made, "verdict", f"{self.label}: {verdict.text}")

    def redrawn(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Points]:
        """The null by redrawing feedback, if there is some; none once `stop` says so."""
        for _ in self._observation.redrawing():
            if stop():
                return
        if (null := self._observation.redrawn()) is not None:
            yield from self._series.redrawn(_lists(null._asdict()), self.made)

    def measures(self, step: int) -> Iterator[Points]:
        """Every measure of all draws so far, with its standard error and law check."""
        yield from self._series.measures(_lists(self._observation.values()), step)
        intervals = {
            metric: list(zip(low.tolist(), high.tolist(), strict=True))
            for metric, (low, high) in self._observation.intervals().items()
        }
        yield from self._series.standard_errors(intervals, self.made, step)
        yield from self._series.law_checks(self._observation.law_checks(self._law), step)
        yield from self._series.heavy_tails(self._observation.heavy_tails(), step)
        yield from self._series.nonfinite(
            self._observation.moments.nonfinite, self._observation.lost(), step
        )
        yield from self._series.not_converged(self._observation.solves.unconverged, step)

    def laws(self, step: int) -> Iterator[Points]:
        """What theory predicts of the measures; no draw is needed."""
        return self._series.laws(_lists(self._law), step)

    def oracle(self, step: int = 0) -> Iterator[Points]:
        """Whether an oracle makes the draws, if one was asked for."""
        if self.asked == "oracle":
            yield self._series.source(self.source, step)

    @cached_property
    def _law(self) -> Mapping[str, Tensor]:
        return self._observation.theory()


def honest_draws(draws: Sequence[EstimatorDraws], where: str = "") -> Iterator[Event]:
    """An event that names the estimators that have no oracle, though one was asked for."""
    if labels := [each.label for each in draws if each.asked != each.source]:
        text = f"{', '.join(labels)}: no oracle{where}, so the draws are the estimator's own"
        yield Event(0, "source", text)


def chunk_size(estimator: Estimator, chain: Chain, params: Params) -> int:
    """Draws that fit into memory at once, and after which a cancellation is obeyed."""
    size = sum(tensor.numel() for tensor in params.values())
    work = max(1.0, estimator.cost(chain).forward_equivalents)
    return max(1, min(FIRST_CHUNK, MAX_NUMBERS // max(1, size), int(CHUNK_FORWARDS / work)))


def _lists(metrics: Mapping[str, Tensor]) -> dict[str, list[float]]:
    return {metric: values.tolist() for metric, values in metrics.items()}
