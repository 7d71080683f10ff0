"""The anatomy of a variance as a microscope measured it, and what it predicts elsewhere.

The formulas are those of `estimators.measure.anatomy`, over arrays of batches and draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backend.figures.parts.query import Query
from backend.figures.parts.select import estimators
from backend.figures.parts.source import Floats, RunLike, Source

MOST = 4096
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

    def variance(self, batch: Floats, draws: Floats) -> Floats:
        """D (1/B − 1/N)/(1/B₀ − 1/N) + (e₀ + e₁ B₀/B)/K."""
        rest = self.batch / self.population if self.population else 0.0
        share = np.maximum(self.batch / batch - rest, 0) / (1 - rest) if rest < 1 else 0 * batch
        falling = (self.estimator - self.fixed) * self.batch / batch
        return max(self.data, 0.0) * share + (self.fixed + falling) / draws

    def spent(self, budget: float) -> tuple[Floats, Floats]:
        """(batches, draws) that `budget` draws at the run's batch size buy: whole numbers."""
        examples = budget * self.batch
        draws = np.unique(np.geomspace(1, max(1, min(examples, MOST)), 600).round())
        batch = np.floor(examples / draws)
        if self.population:
            batch = np.minimum(batch, self.population)
        good = batch >= 1
        return batch[good], draws[good]


def read(source: Source, query: Query, layer: str) -> list[Split]:
    """Every estimator's anatomy by its newest batches, in the order of the run's labels."""
    found = []
    for place, run_id in enumerate(query.runs):
        run, held = source.run(run_id), _held(source, run_id, layer)
        for label in estimators(run):
            if query.estimator in ("", label) and ("anatomy/data", label) in held:
                found.append(_split(source, run, run_id, place, label, layer, held))
    return found


def layers(source: Source, query: Query) -> list[str]:
    """Those that an anatomy is known of, the whole network first."""
    seen = [s.layer for one in query.runs for s in source.series(one) if s.metric == "anatomy/data"]
    return list(dict.fromkeys(seen))


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
        data_se=last("data_se"), estimator_se=last("estimator_se"),
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
