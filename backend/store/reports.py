"""Storing a worker's report: points, events and progress, in one transaction."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from backend.config import ACTIVE
from backend.store import points, run_orders
from backend.store.base import Commit, ConflictError, find_run
from backend.store.points import SeriesPoints
from backend.store.tables import Event, Report, Run, now
from backend.store.upkeep import Upkeep

_log = logging.getLogger(__name__)

MERGE_EVERY = 256
"""Reports of a live run between two merges of its small rows."""
MAX_SERIES = 100_000
"""Series of one run."""


@dataclass(frozen=True)
class ReportedProgress:
    """How far a run is."""

    step: int
    steps: int
    rate: float | None = None
    seconds: float | None = None
    overhead: float | None = None


@dataclass(frozen=True)
class WorkerReport:
    """A worker's report; `status` is that of a run, or "stopped"."""

    run: str
    attempt: int
    sequence: int
    status: str
    series: Sequence[SeriesPoints] = ()
    progress: ReportedProgress | None = None
    error: str | None = None
    events: Sequence[Mapping[str, Any]] = ()
    facts: dict[str, Any] = field(default_factory=dict)


class Reports(Upkeep):
    """Stores reports; points come in no other way."""

    trouble: str | None = None
    """What prevents reports from being stored, for example a full disk."""

    def report(self, report: WorkerReport) -> tuple[Run, bool]:
        """Store a report once; returns the run, and whether the report was new.

        A run of a user's own loop takes reports after its end too: the loop's own end is its last
        report, so that an end before it was the lab's, of a loop that was silent.

        Raises ConflictError if the attempt is not the current one or a run of the lab's own has
        ended, and ValueError for invalid points.
        """
        try:
            with self.writing() as session:
                run = find_run(session, report.run)
                if _seen(session, report):
                    return run, False
                _require_current(run, report)
                commit = _store(session, run, report)
        except OperationalError as error:
            self._say_once(f"reports cannot be stored, and their workers wait: {error.orig}")
            raise
        self._say_once(None)
        self._announce(run, report, commit)
        return run, True

    def _say_once(self, trouble: str | None) -> None:
        """Log what prevents reports, and its end, but not each report."""
        if trouble != self.trouble:
            _log.warning(trouble or "reports are stored again; nothing was lost")
            self.trouble = trouble

    def _announce(self, run: Run, report: WorkerReport, commit: Commit) -> None:
        if commit.series:
            self._notify(commit)
        self._notify(Commit("run", run.id))
        if report.status == run.status and run.status not in ACTIVE:
            self._merge(run.id, points.FULL)
        elif report.sequence % MERGE_EVERY == MERGE_EVERY - 1:
            self._merge(run.id, points.SMALL)


def _seen(session: Session, report: WorkerReport) -> bool:
    table = Report.__table__.c  # type: ignore[attr-defined]
    query = select(table.id).where(
        table.run == report.run,
        table.attempt == report.attempt,
        table.sequence == report.sequence,
    )
    return session.execute(query).first() is not None


def _require_current(run: Run, report: WorkerReport) -> None:
    if report.attempt != run.attempt:
        raise ConflictError(
            f"run {run.number} is at attempt {run.attempt}; this report is of {report.attempt}"
        )
    if run.status not in ACTIVE and run.kind != "attached":
        raise ConflictError(f"run {run.number} is {run.status}; it takes no more reports")


def _store(session: Session, run: Run, report: WorkerReport) -> Commit:
    connection = session.connection()
    row = {"run": run.id, "attempt": report.attempt, "sequence": report.sequence}
    connection.execute(insert(Report).values(row))
    ids = points.series_ids(connection, run.id, report.series) if report.series else {}
    if len(ids) > MAX_SERIES:
        raise ValueError(f"run {run.number} has {len(ids)} series; at most {MAX_SERIES} are kept")
    points.append(connection, ids, report.attempt, report.series)
    session.add_all(Event(run=run.id, **event) for event in report.events)
    _advance(run, report)
    session.add(run)
    return Commit("points", run.id, [_series_notice(ids[f.key], f) for f in report.series])


def _series_notice(series: int, flush: SeriesPoints) -> dict[str, Any]:
    names = {"metric": flush.metric, "layer": flush.layer, "estimator": flush.estimator}
    return {"id": series, **names, "steps": flush.steps, "values": flush.values}


def _advance(run: Run, report: WorkerReport) -> None:
    run.heard = now()
    if report.progress is not None:
        run.step, run.steps = report.progress.step, report.progress.steps
        run.rate, run.seconds = report.progress.rate, report.progress.seconds
        run.overhead = report.progress.overhead
    _take_status(run, report)
    if report.facts:
        run.facts = report.facts
        run.device = report.facts.get("device")
        run.labels = _labels(report.facts) or run.labels


def _take_status(run: Run, report: WorkerReport) -> None:
    """The status and the error that a report brings. One that comes after the lab has ended its
    run changes them only by the loop's own end, which is what really happened."""
    late = run.status not in ACTIVE
    if late and report.status in (*ACTIVE, "stopped"):
        return
    if report.status == "stopped":
        run_orders.release(run)
    else:
        run.status = report.status
    if run.status not in ACTIVE:
        run.finished = run.heard
    if late or report.error is not None:
        run.error = report.error


def _labels(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Driver and shadows as the worker knows them: its driver may change in mid-run."""
    match facts.get("labels"):
        case {"driver": str(driver), "shadows": [*shadows]} if all(
            isinstance(label, str) for label in shadows
        ):
            return {"driver": driver, "shadows": shadows}
    return None
