"""The variance splits that a microscope measured, and the checks of what they predict.

The model and its advice are those of `estimators.statistics.variance_split`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backend.figures.data.query import Query
from backend.figures.data.select import estimators
from backend.figures.data.source import Floats, RunLike, Source
from estimators.statistics.variance_check import Check
from estimators.statistics.variance_split import VarianceSplit

DEFAULT_BUDGET = 8
"""The budget where none is asked for and none was checked, in draws at the run's batch size."""
MAX_DRAWS = 2**20
"""Most draws that the curve of a budget shows."""


@dataclass(frozen=True)
class MeasuredSplit:
    """The split of one estimator's variance in one layer of a run."""

    run: RunLike
    run_id: str
    label: str
    layer: str
    split: VarianceSplit
    check: Check | None

    def curve(self, budget: float) -> tuple[Floats, Floats]:
        """(batches, draws) along which `budget` draws at the run's batch size can be divided."""
        examples = budget * self.split.batch
        most = max(1.0, min(examples, MAX_DRAWS))
        draws = np.geomspace(1, most, 200) if most > 1 else np.ones(1)
        return np.minimum(examples / draws, self.split.largest_batch), draws


def read(source: Source, query: Query, layer: str) -> list[MeasuredSplit]:
    """Every estimator's split by its newest batches, in the order of the run's labels."""
    splits = []
    for run_id in query.runs:
        run, series_ids = source.run(run_id), _series_ids(source, run_id, layer)
        for label in estimators(run):
            if query.estimator in ("", label) and ("anatomy/data", label) in series_ids:
                splits.append(_split(source, run, run_id, label, layer, series_ids))
    return splits


def budget(splits: list[MeasuredSplit], asked: int | None) -> int:
    """The budget that is asked for, else the one that was checked."""
    checked = (measured.check.budget(measured.split.batch) for measured in splits if measured.check)
    return asked or next(checked, DEFAULT_BUDGET)


def _series_ids(source: Source, run_id: str, layer: str) -> dict[tuple[str, str], int]:
    return {
        (s.metric, s.estimator): s.id
        for s in source.series(run_id)
        if s.count and s.metric.startswith("anatomy/") and (s.layer == layer or not s.estimator)
    }


def _split(
    source: Source, run: RunLike, run_id: str, label: str, layer: str,
    series_ids: dict[tuple[str, str], int],
) -> MeasuredSplit:  # fmt: skip
    def last(metric: str, estimator: str = label) -> float | None:
        series = series_ids.get((f"anatomy/{metric}", estimator))
        return None if series is None else float(source.points(series).values[-1])

    batches = int(source.points(series_ids["anatomy/data", label]).steps[-1])
    population = last("population", "")
    parts = [last(name) for name in ("data", "estimator", "fixed")]
    split = VarianceSplit(
        int(run.config.get("batch_size") or 1),
        batches,
        *(math.nan if part is None else part for part in parts),
        data_se=last("data_se"),
        estimator_se=last("estimator_se"),
        fixed_se=last("fixed_se"),
        population=None if population is None else int(population),
    )
    return MeasuredSplit(run, run_id, label, layer, split, _check(last))


def _check(last: Callable[..., float | None]) -> Check | None:
    batch, draws = last("check/batch", ""), last("check/draws", "")
    predicted, measured = last("check/predicted"), last("check/measured")
    if batch is None or draws is None or predicted is None or measured is None:
        return None
    errors = last("check/predicted_se"), last("check/measured_se")
    return Check(int(batch), int(draws), predicted, measured, *errors)
