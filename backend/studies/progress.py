"""`progress`: from a study and its runs so far, what to queue now, and whether it is finished.

It depends on what is stored alone, so that a server that was killed goes on where it stopped.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.config import ACTIVE
from backend.studies.budget import TIMED_STEPS, steps_of_variant, timing_cell
from backend.studies.cells import Cell, Key, Phase, Variant
from backend.studies.study_file import StudyFile
from backend.studies.tuning import (
    Choice,
    Point,
    TuningPlan,
    ValidationMetric,
    choose,
    next_points,
    validation_metric,
)


@dataclass(frozen=True)
class PlannedVariant:
    """A variant with what the lab found out about it when the study was made."""

    variant: Variant
    cost: float | None = None
    """Forward passes of the base's batch that a step is worth."""
    bounds: tuple[float, float] = (0.0, 1e6)
    """Between which the tuned field may lie."""
    fitted: Mapping[str, int] = field(default_factory=dict)
    """{field: the value with which its runs fit into the budget's memory}."""

    @property
    def label(self) -> str:
        """Its label."""
        return self.variant.label


@dataclass(frozen=True)
class StudyPlan:
    """A study and its variants: what never changes while it is carried out."""

    study: StudyFile
    variants: Sequence[PlannedVariant]


@dataclass(frozen=True)
class StudyRun:
    """A run of a study, as far as its progress depends on it."""

    id: str
    number: int
    cell: Cell
    status: str
    step: int = 0
    steps: int = 0
    seconds: float | None = None
    error: str | None = None
    value: float | None = None
    """The metric at its end: of validation for tuning, else of the report. None without one."""

    @property
    def failure(self) -> str:
        """Why the run has no result, though it has ended; empty for others."""
        if self.status in ("failed", "cancelled"):
            lines = (self.error or "").strip().splitlines()
            return lines[0] if lines else self.status
        if self.cell.phase == "timing":
            return "it diverged before its steps were timed" if self.status == "diverged" else ""
        if self.status == "finished" and self.value is None:
            return "it finished without a value of the metric"
        return ""

    @property
    def result(self) -> float | None:
        """Its metric; NaN if it diverged, None if it has none (yet)."""
        if self.status == "diverged":
            return math.nan
        return self.value if self.status == "finished" else None


@dataclass(frozen=True)
class Wanted:
    """A run that is to be queued."""

    cell: Cell
    steps: int | None
    """None: the length of the variant's configuration, or the cell's share of its epochs."""


@dataclass
class Progress:
    """How far a study is."""

    phase: Phase
    wanted: list[Wanted] = field(default_factory=list)
    """Cells without a run, in the order in which to queue them."""
    choices: dict[str, Choice] = field(default_factory=dict)
    """{variant: choice} of those that are tuned."""
    timings: dict[str, float] = field(default_factory=dict)
    """{variant: seconds of a step} of those that are measured."""
    steps: dict[str, int] = field(default_factory=dict)
    """{variant: steps of a reported run}, where the budget decides."""
    cells: dict[Key, StudyRun] = field(default_factory=dict)
    """The newest run of each cell."""
    finished: bool = False
    """Whether every run that can be made has ended."""

    @property
    def ended(self) -> int:
        """How many runs have ended, whatever their end."""
        return sum(run.status not in ACTIVE for run in self.cells.values())

    @property
    def failures(self) -> list[StudyRun]:
        """The newest runs of the cells that ended without a result."""
        return [run for run in self.cells.values() if run.failure]

    def reported(self) -> Iterator[StudyRun]:
        """The runs of the reported phase."""
        return (run for run in self.cells.values() if run.cell.phase == "report")


def progress(
    plan: StudyPlan, runs: Iterable[StudyRun], timings: Mapping[str, float] = {}
) -> Progress:
    """How far a study is, from its runs; `timings` are those that were recorded before."""
    newest = {run.cell.key: run for run in sorted(runs, key=lambda run: run.number)}
    found = Progress("report", timings=_timings(plan, newest.values(), timings), cells=newest)
    by_variant: dict[str, list[StudyRun]] = {}
    for run in newest.values():
        by_variant.setdefault(run.cell.variant, []).append(run)
    phases: set[Phase] = set()
    for planned in plan.variants:
        phase = _advance(plan.study, planned, by_variant.get(planned.label, []), found)
        phases.add(phase)
    for phase in ("tuning", "timing"):
        if phase in phases and _open(found, phase):
            found.phase = phase
    active = any(run.status in ACTIVE for run in newest.values())
    found.finished = not found.wanted and not active
    return found


def _open(found: Progress, phase: Phase) -> bool:
    """Whether runs of a phase are queued, running or wanted."""
    running = (r.cell for r in found.cells.values() if r.status in ACTIVE)
    return any(cell.phase == phase for cell in (*running, *(w.cell for w in found.wanted)))


def _timings(
    plan: StudyPlan, runs: Iterable[StudyRun], recorded: Mapping[str, float]
) -> dict[str, float]:
    given = plan.study.budget.timings if plan.study.budget else {}
    measured = {
        run.cell.variant: run.seconds / run.step
        for run in runs
        if run.cell.phase == "timing" and run.status == "finished" and run.seconds and run.step
    }
    return {**measured, **given, **recorded}


def _advance(
    study: StudyFile, planned: PlannedVariant, runs: Sequence[StudyRun], found: Progress
) -> Phase:
    """Add what one variant needs; returns its phase."""
    label = planned.label
    try:
        steps = steps_of_variant(study, planned.cost, found.timings.get(label))
    except LookupError:  # not timed yet
        _want(found, [Wanted(timing_cell(study, planned.variant), TIMED_STEPS)])
        return "timing"
    if steps is not None:
        found.steps[label] = steps
    if study.tuning is None:
        point: tuple[float | None, Any] | None = (None, None)
    elif (point := _tuned(study, planned, steps, runs, found)) is None:
        return "tuning"
    elif point[0] is None:  # every value diverged: there is nothing to report
        return "report"
    _want(found, (Wanted(Cell("report", label, seed, *point), steps) for seed in study.seeds))
    return "report"


def _tuned(
    study: StudyFile,
    planned: PlannedVariant,
    steps: int | None,
    runs: Sequence[StudyRun],
    found: Progress,
) -> tuple[float | None, Any] | None:
    """The chosen values of one variant; None while runs are missing, which are queued."""
    length = _tuning_length(study, planned, steps)
    tuning, results = _tuning_plan(study, planned, length), _results(study, runs)
    trials = next_points(tuning, results)
    choice = choose(tuning, results)
    found.choices[planned.label] = choice
    if not trials:
        return choice.value, choice.also
    _want(
        found,
        (
            Wanted(
                Cell("tuning", planned.label, seed, *trial.point, trial.fraction),
                None if length is None else tuning.steps_of(trial.fraction),
            )
            for trial in trials
            for seed in trial.seeds
        ),
    )
    return None


def _tuning_length(study: StudyFile, planned: PlannedVariant, steps: int | None) -> int | None:
    """The steps of a whole tuning run; None if the configuration gives epochs.

    Where a budget decides, `tuning.steps` is to the variant's steps as it is to the base's.
    """
    assert study.tuning is not None
    given, own = study.tuning.steps, planned.variant.config.get("steps")
    if given is None:
        return steps or own
    return given if steps is None or not own else max(1, round(given * steps / own))


def _want(found: Progress, cells: Iterable[Wanted]) -> None:
    """Queue the cells that have no run; one that failed waits to be retried."""
    found.wanted += [each for each in cells if each.cell.key not in found.cells]


def _tuning_plan(study: StudyFile, planned: PlannedVariant, length: int | None) -> TuningPlan:
    tuning = study.tuning
    assert tuning is not None
    return TuningPlan(
        values=planned.variant.values,
        seeds=tuple(tuning.seeds),
        steps=length or LONG,
        higher_is_better=study.larger_is_better,
        also=tuple(tuning.also.values) if tuning.also else (),
        widen=tuning.widen,
        halving=tuning.halving,
        bounds=planned.bounds,
        field=tuning.field,
        also_field=tuning.also.field if tuning.also else "",
    )


LONG = 2000
"""Steps of a run for which rungs are chosen where the configuration gives epochs."""


def _results(
    study: StudyFile, runs: Iterable[StudyRun]
) -> dict[float, dict[Point, dict[int, ValidationMetric]]]:
    """The results of the tuning runs, which are never those of the test part."""
    results: dict[float, dict[Point, dict[int, ValidationMetric]]] = {}
    for run in runs:
        value = run.result
        if run.cell.phase == "tuning" and value is not None:
            of_fraction = results.setdefault(run.cell.fraction, {})
            metric = validation_metric(study.tuning_metric, value)
            of_fraction.setdefault(run.cell.point, {})[run.cell.seed] = metric
    return results


def cell_of(stored: Mapping[str, Any]) -> Cell:
    """The cell that a run has stored."""
    return Cell(**{name: stored[name] for name in Cell._fields if name in stored})
