"""The anatomy of a variance as a microscope measured it, and what it predicts elsewhere.

The formulas are those of `estimators.measurement.estimates.variance_split`, over arrays of batches and draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backend.figures.data.query import Query
from backend.figures.data.select import estimators
from backend.figures.data.source import Floats, RunLike, Source
from backend.figures.data.student import half_width

SAME = 0.02
"""What is nearer to the least variance than this is as good."""
APART = 4.0
"""Standard errors between what was predicted and what was measured that call for a word."""
USUAL = 8
"""The budget where nothing is said and nothing was checked."""
LEAST = 8
"""Batches from which there are standard errors; before, nothing is told apart."""
MOST = 2**20
"""Most draws that a budget is divided into."""


@dataclass(frozen=True)
class Check:
    """The variance at another batch and number of draws: predicted, and measured."""

    batch: int
    draws: int
    predicted: float
    measured: float
    predicted_se: float | None
    measured_se: float | None

    @property
    def apart(self) -> float | None:
        """In standard errors of the difference."""
        if not self.measured_se or self.predicted_se is None:
            return None
        return (self.measured - self.predicted) / float(
            np.hypot(self.predicted_se, self.measured_se)
        )

    @property
    def failed(self) -> bool:
        """Whether chance does not explain how far apart they are."""
        return self.apart is not None and abs(self.apart) > APART

    @property
    def blurred(self) -> bool:
        """Whether an error is larger than half its value: no check, unless it fails."""
        pairs = (self.predicted, self.predicted_se), (self.measured, self.measured_se)
        return not self.failed and any((se or 0.0) > abs(x) / 2 for x, se in pairs)

    def at(self, size: int) -> int:
        """The budget whose line goes through it."""
        return max(1, round(self.batch / size * self.draws))


@dataclass(frozen=True)
class Split:
    """One estimator's parts in one layer; total variances at the run's batch size."""

    run: RunLike
    run_id: str
    place: int
    label: str
    layer: str
    batches: int
    data: float
    estimator: float
    fixed: float
    data_se: float | None
    estimator_se: float | None
    batch: int
    population: int | None
    check: Check | None
    fixed_se: float | None = None

    @property
    def given(self) -> int:
        """Examples that a batch can have: all, or those of the batches where N is not known."""
        return self.population or self.batch * self.batches

    def variance(self, batch: Floats, draws: Floats) -> Floats:
        """D (1/B − 1/N)/(1/B₀ − 1/N) + (e₀ + e₁ B₀/B)/K."""
        rest = self.batch / self.population if self.population else 0.0
        share = np.maximum(self.batch / batch - rest, 0) / (1 - rest) if rest < 1 else 0 * batch
        falling = (self.estimator - self.fixed) * self.batch / batch
        return max(self.data, 0.0) * share + (self.fixed + falling) / draws

    def line(self, budget: float) -> tuple[Floats, Floats]:
        """(batches, draws) along which `budget` draws at the run's batch size are divided."""
        most = max(1.0, min(budget * self.batch, MOST))
        draws = np.geomspace(1, most, 200) if most > 1 else np.ones(1)
        return self._batches(budget, draws), draws

    def splits(self, budget: float) -> tuple[Floats, Floats]:
        """The same in whole draws and examples."""
        draws = np.unique(np.geomspace(1, max(1.0, min(budget * self.batch, MOST)), 600).round())
        batch = np.floor(self._batches(budget, draws) + 1e-9)
        return batch[batch >= 1], draws[batch >= 1]

    def _batches(self, budget: float, draws: Floats) -> Floats:
        batch = budget * self.batch / draws
        return np.minimum(batch, self.given)

    def best(self, budget: float) -> "Best | None":
        """The least variance; None where there is none at all.

        Of splits as good as the best, that with the fewest draws: a plain batch is simplest.
        """
        batch, draws = self.splits(budget)
        values = self.variance(batch, draws)
        if not (values > 0).any():
            return None
        at = int(np.argmax(values <= values.min() * (1 + SAME)))
        least = float(values[at])
        one = float(batch[at]), float(draws[at])
        ends = [(float(batch[i]), float(draws[i])) for i in (0, -1)]
        told = all(self._told(one, end) for end in (ends[0], self._many(budget)))
        return Best(
            int(batch[at]), int(draws[at]), least, _times(float(values[0]), least),
            _times(float(values[-1]), least), told,
        )  # fmt: skip

    def _many(self, budget: float) -> tuple[float, float]:
        """The budget spent on draws at the run's batch."""
        return (self.batch, budget) if budget >= 1 else (max(1.0, budget * self.batch), 1.0)

    def _told(self, one: tuple[float, float], other: tuple[float, float]) -> bool:
        """Whether chance does not explain which of two (examples, draws) leaves less variance.

        By Student's t at 95 %, of the difference: both rest on the same D, E and e₀.
        """
        values = [float(self.variance(np.array(b), np.array(k))) for b, k in (one, other)]
        if values[1] <= values[0] * (1 + SAME):
            return True  # as good as the other
        if self.data_se is None and self.batches < LEAST and self.estimator > 0:
            return False
        errors = np.array([e or 0.0 for e in (self.data_se, self.estimator_se, self.fixed_se)])
        weights = np.subtract(self._weights(*one), self._weights(*other))
        reach = half_width(max(2, self.batches - 1)) * float(np.hypot.reduce(weights * errors))
        return values[1] - values[0] > reach

    def _weights(self, batch: float, draws: float) -> tuple[float, float, float]:
        """Of D, E and e₀ in the variance."""
        rest, b = self.batch / self.population if self.population else 0.0, batch / self.batch
        share = max(0.0, 1 / b - rest) / (1 - rest) if rest < 1 else 0.0
        return share, 1 / (b * draws), (1 - 1 / b) / draws


@dataclass(frozen=True)
class Best:
    """How a budget is best divided."""

    batch: int
    draws: int
    variance: float
    alone: float
    """Times as much variance is left by a batch with one draw."""
    most: float
    """The same of as many draws as the budget buys."""
    told: bool = True
    """Whether chance does not explain the answer."""

    @property
    def words(self) -> str:
        """The answer."""
        if not self.told:
            return "not told apart"
        if max(self.alone, self.most) <= 1 + SAME:
            return "no difference"
        if self.alone <= 1 + SAME:
            return "larger batch"
        return "more draws" if self.most <= 1 + SAME else "both"


def read(source: Source, query: Query, layer: str) -> list[Split]:
    """Every estimator's anatomy by its newest batches, in the order of the run's labels."""
    found = []
    for place, run_id in enumerate(query.runs):
        run, held = source.run(run_id), _held(source, run_id, layer)
        for label in estimators(run):
            if query.estimator in ("", label) and ("anatomy/data", label) in held:
                found.append(_split(source, run, run_id, place, label, layer, held))
    return found


def budget(found: list[Split], asked: int | None) -> int:
    """What is asked for, else what was checked."""
    return asked or next((one.check.at(one.batch) for one in found if one.check), USUAL)


def _held(source: Source, run_id: str, layer: str) -> dict[tuple[str, str], int]:
    return {
        (s.metric, s.estimator): s.id
        for s in source.series(run_id)
        if s.count and s.metric.startswith("anatomy/") and (s.layer == layer or not s.estimator)
    }


def _split(
    source: Source, run: RunLike, run_id: str, place: int, label: str, layer: str,
    held: dict[tuple[str, str], int],
) -> Split:  # fmt: skip
    def last(metric: str, who: str = label) -> float | None:
        at = held.get((f"anatomy/{metric}", who))
        return None if at is None else float(source.points(at).values[-1])

    steps = source.points(held["anatomy/data", label]).steps
    population = last("population", "")
    values = {name: last(name) for name in ("data", "estimator", "fixed")}
    return Split(
        run, run_id, place, label, layer, int(steps[-1]),
        **{name: np.nan if x is None else x for name, x in values.items()},
        data_se=last("data_se"), estimator_se=last("estimator_se"), fixed_se=last("fixed_se"),
        batch=int(run.config.get("batch_size") or 1),
        population=None if population is None else int(population),
        check=_check(last),
    )  # fmt: skip


def _check(last: Callable[..., float | None]) -> Check | None:
    batch, draws = last("check/batch", ""), last("check/draws", "")
    predicted, measured = last("check/predicted"), last("check/measured")
    if batch is None or draws is None or predicted is None or measured is None:
        return None
    errors = last("check/predicted_se"), last("check/measured_se")
    return Check(int(batch), int(draws), predicted, measured, *errors)


def _times(value: float, least: float) -> float:
    """How many times the least; a batch of all examples may leave an exact estimator nothing."""
    if least > 0:
        return value / least
    return 1.0 if value == 0 else np.inf
