"""What must be said of a tuned value: at the edge of its grid, beside a value that diverged, tied.

A sentence names the field as its users do: the learning rate is a rate.
"""

import math
from collections.abc import Iterator, Sequence

from backend.studies.tuning_plan import CurvePoint, Point, TuningPlan
from estimators.statistics.formatting import counted


def note_of(
    plan: TuningPlan, best: Point | None, curve: Sequence[CurvePoint], missing: int
) -> tuple[str, bool]:
    """The note on a choice, and whether the chosen value is at the edge of what was tried."""
    if missing:
        return f"not finished: {counted(missing, 'run')} missing", False
    if best is None:
        return _none(plan, curve), False
    line = [point for point in curve if point.also == best[1]]
    edges = [*_edges(plan, best[0], line)]
    said = [*edges, *_diverged(plan, best[0], line), *_second(plan, best), *_tied(best, curve)]
    return "; ".join(said), bool(edges)


def names(field: str) -> tuple[str, str]:
    """A value and values of a field, in words: `rate` and `rates`, or `value of sigma`."""
    name = field.rpartition(".")[2]
    return ("rate", "rates") if name == "lr" else (f"value of {name}", f"values of {name}")


def _none(plan: TuningPlan, curve: Sequence[CurvePoint]) -> str:
    singular, plural = names(plan.field)
    advice = f": try smaller {plural}" if singular == "rate" else ""
    if any(math.isfinite(point.metric) for point in curve):
        return f"every {singular} that went on to {plan.steps:,} steps diverged{advice}"
    return f"every {singular} diverged{advice}"


def _edges(plan: TuningPlan, best: float, line: Sequence[CurvePoint]) -> Iterator[str]:
    singular, plural = names(plan.field)
    values = [point.value for point in line]
    if len(values) == 1:
        if not plan.also:
            yield f"the only {singular}"
        return
    for end, size in ((min(values), "smaller"), (max(values), "larger")):
        if best == end:
            larger = size == "larger"
            grown = plan.grown(values, larger=larger)
            after = f" after {grown} more" if grown else ""
            allowed = plan.next_value(best, larger=larger) is not None
            advice = f"try {size} {plural}" if allowed else f"no {size} {singular} is allowed"
            yield f"best at the edge{after}: {advice}"


def _diverged(plan: TuningPlan, best: float, line: Sequence[CurvePoint]) -> Iterator[str]:
    """On the neighbours of the best."""
    singular, _ = names(plan.field)
    smaller = max((p for p in line if p.value < best), key=lambda p: p.value, default=None)
    larger = min((p for p in line if p.value > best), key=lambda p: p.value, default=None)
    for size, point in (("smaller", smaller), ("larger", larger)):
        if point is not None and math.isnan(point.metric):
            yield f"the next {size} {singular} diverged"


def _second(plan: TuningPlan, best: Point) -> Iterator[str]:
    """On the second field, whose values do not grow."""
    numbers = [v for v in plan.also if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < 2 or len(numbers) < len(plan.also):
        return
    _, plural = names(plan.also_field)
    if best[1] in (min(numbers), max(numbers)):
        size = "smaller" if best[1] == min(numbers) else "larger"
        yield f"best at the edge: try {size} {plural}"


def _tied(best: Point, curve: Sequence[CurvePoint]) -> Iterator[str]:
    own = next(point for point in curve if point.point == best)
    alike = [p for p in curve if (p.metric, p.fraction) == (own.metric, own.fraction)]
    if len(alike) > 1:
        yield f"{counted(len(alike), 'point')} are equally good: the smallest is taken"
