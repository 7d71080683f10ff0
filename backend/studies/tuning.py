"""Which runs tune a field, and the value that they choose: a log grid that widens, and halving.

Both are functions of the plan and of validation results alone. A `ValidationMetric` is made by
`validation_metric`, which refuses the name of a test metric.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.studies.tuning_notes import note_of
from backend.studies.tuning_plan import (
    Choice,
    CurvePoint,
    Point,
    Results,
    Trial,
    TuningPlan,
    ValidationMetric,
    validation_metric,
)

__all__ = [
    "Choice", "CurvePoint", "Point", "Results", "Trial", "TuningPlan", "ValidationMetric",
    "choose", "next_points", "validation_metric",
]  # fmt: skip


def next_points(plan: TuningPlan, results: Results) -> list[Trial]:
    """The trials without a result that can be run now; none when the value can be chosen.

    It depends on the results alone and not on their order. Trials that are running already are
    among them, since they have no result yet. A rung or a wider grid begins when all trials before
    it have ended.
    """
    return _Tuning.of_results(plan, results).missing


def choose(plan: TuningPlan, results: Results) -> Choice:
    """The best point of the longest runs. Of equally good ones, the smallest value is chosen.

    A point of which one seed diverged is not chosen. Seeds that are not the plan's are not read.
    While trials are missing, it is the best so far, and the note says so.
    """
    tuning = _Tuning.of_results(plan, results)
    curve = tuple(
        CurvePoint(*point, mean, fraction)
        for point in sorted(tuning.points, key=plan.order)
        for mean, fraction in _longest(plan, results, point)
    )
    reached = max((each.fraction for each in curve), default=1.0)
    means = {each.point: each.metric for each in curve if each.fraction == reached}
    best = next(iter(_ranked(plan, means)), None)
    missing = sum(len(trial.seeds) for trial in tuning.missing)
    note, at_edge = note_of(plan, best, curve, missing)
    value, also = best or (None, None)
    metric = means[best] if best else math.nan
    return Choice(value, also, metric, note, curve, at_edge, plan.field, plan.also_field)


@dataclass(frozen=True)
class _Tuning:
    """How far the results reach."""

    points: Sequence[Point]
    """Every point of the grid, widened as far as the results allow."""
    missing: list[Trial]

    @classmethod
    def of_results(cls, plan: TuningPlan, results: Results) -> "_Tuning":
        """Repeat the tuning from its start: what was run follows from the results before it."""
        tried: list[Point] = [
            (value, also) for value in plan.values for also in plan.also or (None,)
        ]
        rung, rungs = tried, plan.rungs
        for fraction in rungs:
            while True:
                missing = _missing(plan, results, fraction, rung)
                if missing:
                    return cls(tried, missing)
                means = {point: _mean(plan, results, fraction, point) for point in rung}
                # Between them, short runs of fewer points say little about the edge.
                new = _beyond(plan, means, tried) if fraction in (rungs[0], rungs[-1]) else []
                if not new:
                    break
                tried, rung = [*tried, *new], [*rung, *new]
            rung = _survivors(plan, means)
        return cls(tried, [])


def _missing(
    plan: TuningPlan, results: Results, fraction: float, points: Sequence[Point]
) -> list[Trial]:
    trials = []
    for point in sorted(points, key=plan.order):
        there = results.get(fraction, {}).get(point, {})
        seeds = tuple(seed for seed in plan.seeds if seed not in there)
        if seeds:
            trials.append(Trial(point, fraction, seeds))
    return trials


def _mean(plan: TuningPlan, results: Results, fraction: float, point: Point) -> float:
    """The mean over all tuning seeds; NaN if one is not finite."""
    metrics = [results[fraction][point][seed] for seed in plan.seeds]
    return math.fsum(metrics) / len(metrics) if all(map(math.isfinite, metrics)) else math.nan


def _longest(plan: TuningPlan, results: Results, point: Point) -> list[tuple[float, float]]:
    """(mean, fraction) of the longest rung at which all seeds of the point have ended; or none."""
    for fraction in reversed(plan.rungs):
        if not _missing(plan, results, fraction, [point]):
            return [(_mean(plan, results, fraction, point), fraction)]
    return []


def _ranked(plan: TuningPlan, means: Mapping[Point, float]) -> list[Point]:
    """The points that did not diverge, best first; of equal ones, the smallest value first."""
    sign = -1 if plan.higher_is_better else 1
    usable = [point for point, mean in means.items() if math.isfinite(mean)]
    return sorted(usable, key=lambda point: (sign * means[point], plan.order(point)))


def _survivors(plan: TuningPlan, means: Mapping[Point, float]) -> list[Point]:
    """The best 1/η of the points, and all that are as good as the last of them."""
    ranked = _ranked(plan, means)
    kept = math.ceil(len(means) / plan.halving)
    return [point for point in ranked if means[point] in {means[good] for good in ranked[:kept]}]


def _beyond(plan: TuningPlan, means: Mapping[Point, float], tried: Sequence[Point]) -> list[Point]:
    """The points by which the grid grows, since the best lies at its edge; none if it may not.

    Other values of the second field are taken along, unless they diverged at this edge.
    """
    best = next(iter(_ranked(plan, means)), None)
    if best is None:
        return []
    edge, also = best
    line = [value for value, other in tried if other == also]
    for end, larger in ((min(line), False), (max(line), True)):
        value = plan.next_value(edge, larger=larger) if edge == end else None
        if value is not None and plan.grown([v for v, _ in tried], larger=larger) < plan.widen:
            along = [other for v, other in _ranked(plan, means) if v == edge]
            return [(value, other) for other in along if (value, other) not in tried]
    return []
