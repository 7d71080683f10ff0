"""Reading one-step draws: changes of the loss by learning rate, as a microscope measured them."""

from dataclasses import dataclass

import numpy as np

from backend.figures.data.query import Query
from backend.figures.data.select import estimators
from backend.figures.data.source import Floats, RunLike, Source
from backend.figures.drawing.text import line_name
from backend.figures.words.microscope import BestStep
from estimators.statistics import formatting
from estimators.statistics.one_step import obstacle

CHANGE = "what_if/change/"


@dataclass(frozen=True)
class OneStepDraws:
    """One estimator's draws, each taken as a step of every rate."""

    run: RunLike
    run_id: str
    label: str
    usual: float | None
    """The run's own learning rate at that step."""
    changes: dict[float, Floats]
    """{rate: L(θ − η ĝ) − L(θ) of each draw}; infinite where that loss is not finite. Draws that
    are not finite are left out."""
    slopes: Floats
    curvatures: Floats
    best: float | None
    decrease: float | None
    decrease_se: float | None
    kept: float | None
    """The largest rehearsed rate that can be kept up."""
    rehearsed: bool
    """Whether any rate was rehearsed."""
    lost: int
    """Draws left out."""

    @property
    def draws(self) -> int:
        return len(self.slopes)

    @property
    def best_step(self) -> BestStep:
        """What a takeaway tells of it."""
        return BestStep(self.label, self.best, self.decrease, self.decrease_se)

    def predicted(self, rates: Floats) -> Floats:
        """The expected change to second order."""
        return -rates * self.slopes.mean() + rates**2 / 2 * self.curvatures.mean()

    def nearest(self, rate: float) -> float:
        """The tried learning rate that is nearest to this one."""
        return min(self.changes, key=lambda tried: abs(np.log(tried / rate)))

    @property
    def own_is_within(self) -> bool:
        """Whether the run's own learning rate is known and within the tried ones."""
        if self.usual is None or not self.changes:
            return False
        return min(self.changes) <= self.usual <= max(self.changes)

    @property
    def obstacle(self) -> str:
        """Why there is no best rate; "" where there is one."""
        if self.best is not None:
            return ""
        return obstacle(self.slopes.tolist(), self.curvatures.tolist())

    def name(self, several: bool) -> str:
        """The estimator's label as it is shown, with its run where there are several."""
        return line_name(self.label, self.run.number, self.run.name, several=several)


def read(source: Source, query: Query) -> list[OneStepDraws]:
    """Every run's estimators, in the order of its labels."""
    return [
        _read(source, run_id, label)
        for run_id in query.runs
        for label in estimators(source.run(run_id))
        if query.estimator in ("", label) and _has(source, run_id, label)
    ]


def _has(source: Source, run_id: str, label: str) -> bool:
    return any(
        s.metric == "what_if/slope" and s.estimator == label and s.count
        for s in source.series(run_id)
    )


def _read(source: Source, run_id: str, label: str) -> OneStepDraws:
    values_of = {
        s.metric: source.points(s.id).values
        for s in source.series(run_id)
        if s.count and s.estimator in ("", label) and s.metric.startswith("what_if/")
    }
    slopes, curvatures = values_of["what_if/slope"], values_of["what_if/curvature"]
    # A run in progress may have reported more draws between two of these reads.
    count = min(len(slopes), len(curvatures))
    slopes, curvatures = slopes[:count], curvatures[:count]
    finite = np.isfinite(slopes) & np.isfinite(curvatures)
    changes = {
        float(metric.removeprefix(CHANGE)): values[:count][finite[: len(values)]]
        for metric, values in values_of.items()
        if metric.startswith(CHANGE)
    }

    def last(name: str) -> float | None:
        values = values_of.get(f"what_if/{name}", np.empty(0))
        return float(values[-1]) if len(values) and np.isfinite(values[-1]) else None

    return OneStepDraws(
        source.run(run_id), run_id, label, last("learning_rate"), dict(sorted(changes.items())),
        slopes[finite], curvatures[finite], last("best_rate"), last("expected_decrease"),
        last("expected_decrease_se"), last("kept_rate"), "what_if/kept_rate" in values_of,
        int((~finite).sum()),
    )  # fmt: skip


def counted(steps: OneStepDraws, name: str) -> str:
    """A sentence on draws that are left out; "" if there are none."""
    if not steps.lost:
        return ""
    was = "was not finite and is" if steps.lost == 1 else "were not finite and are"
    return f"{name}: {formatting.counted(steps.lost, 'draw')} {was} left out"
