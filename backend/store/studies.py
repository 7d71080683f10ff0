"""Studies in the database: their runs, what these measured, and orders to all of them at once.

The runs of a study are its state: what is missing is queued in the transaction that looks for it,
so that a server that is killed at any moment queues no run twice and forgets none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from sqlalchemy import case, false, func, literal, or_, select
from sqlmodel import Session

from backend.config import ACTIVE
from backend.store import run_orders
from backend.store.base import Base, Commit, ConflictError, MissingError
from backend.store.runs import MAX_ACTIVE, Runs, new_run
from backend.store.tables import Chunk, Run, Series, Study, new_id, now

PORTION = 256
"""Runs of one study that are active at a time; the others are queued as these end."""
Order = Literal["pause", "resume", "cancel", "retry"]
StudyStatus = Literal["running", "paused", "finished", "cancelled"]
FAILED = ("failed", "cancelled")

_chunk = Chunk.__table__.c  # type: ignore[attr-defined]
_run = Run.__table__.c  # type: ignore[attr-defined]
_series = Series.__table__.c  # type: ignore[attr-defined]
_study = Study.__table__.c  # type: ignore[attr-defined]
_LISTED = (_study.id, _study.name, _study.created, _study.status, _study.finished, _study.cells)


@dataclass(frozen=True)
class StudyRow:
    """A study in a list: how many of its runs have ended, and how."""

    id: str
    name: str
    created: str
    status: StudyStatus
    finished: str | None
    cells: int
    """Runs that it takes, as far as that is known."""
    ended: int
    failed: int


class GalleryStudy(NamedTuple):
    """A study of an entry of the gallery."""

    study: StudyRow
    entry: str
    """The entry's name."""
    length: str
    """short or full."""
    stand_in: bool
    """Whether its data stand in for those of the paper."""


class StudyState(NamedTuple):
    """What of a study changes while it is carried out."""

    name: str
    status: StudyStatus
    finished: str | None
    timings: dict[str, float]
    document: dict[str, Any]


@dataclass(frozen=True)
class CellRun:
    """A run of a study, without its configuration."""

    id: str
    number: int
    cell: dict[str, Any]
    status: str
    step: int
    steps: int
    seconds: float | None
    error: str | None


class StudyReads(Base):
    """Reads studies and what their runs measured, in few queries."""

    def studies(self, *, name: str | None = None, limit: int = 50) -> list[StudyRow]:
        """The newest studies; with `name`, those of that name alone."""
        chosen = select(*_LISTED).order_by(_study.created.desc(), _study.id).limit(limit)
        return self._listed(chosen if name is None else chosen.where(_study.name == name))

    def gallery_studies(self, name: str | None = None) -> list[GalleryStudy]:
        """The studies of the gallery's entries, newest first; with `name`, those of that entry."""
        place = _study.document["gallery"]
        entry, length = place["name"].as_string(), place["length"].as_string()
        stand_in = func.coalesce(place["stand_in"].as_boolean(), false())
        query = select(_study.id, entry, length, stand_in).where(entry.is_not(None))
        if name is not None:
            query = query.where(entry == name)
        with self.reading() as session:
            places = {row[0]: row[1:] for row in session.execute(query)}
        listed = self._listed(
            select(*_LISTED).where(_study.id.in_(places)).order_by(_study.created.desc())
        )
        return [GalleryStudy(study, *places[study.id]) for study in listed]

    def listed_study(self, study_id: str) -> StudyRow:
        """One study as in the list. Raises MissingError."""
        found = self._listed(select(*_LISTED).where(_study.id == study_id))
        if not found:
            raise MissingError(f"there is no study {study_id[:40]!r}")
        return found[0]

    def _listed(self, studies: Any) -> list[StudyRow]:
        chosen = studies.subquery()
        kept = _run.deleted == false()
        placed = kept & func.coalesce(_run.cell["retried"].as_boolean(), false()).is_(False)
        query = (
            select(
                *chosen.c,
                func.sum(case((placed & _run.status.not_in(ACTIVE), 1), else_=0)),
                func.sum(case((placed & _run.status.in_(FAILED), 1), else_=0)),
            )
            .outerjoin(Run, _run.study == chosen.c.id)
            .group_by(*chosen.c)
            .order_by(chosen.c.created.desc(), chosen.c.id)
        )
        with self.reading() as session:
            return [StudyRow(*row) for row in session.execute(query)]

    def study_row(self, study_id: str) -> Study:
        """A study with its document and variants. Raises MissingError, and ConflictError for one
        that has none."""
        with self.reading() as session:
            study = _find(session, study_id)
        _require_document(study)
        return study

    def study_state(self, study_id: str) -> StudyState:
        """A study without its variants. Raises MissingError."""
        columns = [getattr(_study, name) for name in StudyState._fields]
        query = select(*columns)
        with self.reading() as session:
            row = session.execute(query.where(_study.id == study_id)).first()
        if row is None:
            raise MissingError(f"there is no study {study_id[:40]!r}")
        return StudyState(*row)

    def cell_runs(self, study_id: str) -> list[CellRun]:
        """The runs of a study that stand for its cells, without those that were retried."""
        columns = [getattr(_run, name) for name in CellRun.__dataclass_fields__]
        query = select(*columns).where(_run.study == study_id, _run.deleted == false())
        with self.reading() as session:
            found = [CellRun(*row) for row in session.execute(query.order_by(_run.number))]
        return [run for run in found if run.cell and not run.cell.get("retried")]

    def cell_values(self, study_id: str, phase: str, metric: str) -> dict[str, float]:
        """{run: last value of the metric} of the runs of one phase that have ended.

        The metric is one of the run as a whole, or of its driver. Raises ValueError for a metric of
        the test part in the tuning phase, which must not see it.
        """
        if phase == "tuning" and metric.startswith("test/"):
            raise ValueError(f"{metric} is of the test part; tuning reads validation alone")
        newest = (
            select(_chunk.series, _run.id.label("run"), func.max(_chunk.last_step).label("step"))
            .join(Series, _series.id == _chunk.series)
            .join(Run, _run.id == _series.run)
            .where(
                _run.study == study_id,
                _run.cell["phase"].as_string() == phase,
                _series.metric == metric,
                _series.layer == "",
                or_(
                    _series.estimator == "", _series.estimator == _run.labels["driver"].as_string()
                ),
            )
            .group_by(_chunk.series, _run.id)
            .subquery()
        )
        query = select(newest.c.run, _chunk["values"]).join(
            newest, (newest.c.series == _chunk.series) & (newest.c.step == _chunk.last_step)
        ).order_by(_chunk.id)  # fmt: skip
        with self.reading() as session:
            return {
                run: float(np.frombuffer(blob[-8:], "<f8")[0])
                for run, blob in session.execute(query)
            }

    def step_seconds(self, study_id: str) -> dict[str, float]:
        """{run: training time of a step, in seconds} of the runs of a study.

        Between the first and the last point of `train/seconds`, so that the time before the first
        step (compilation, a first solve) is left out, as are evaluations and probes.
        """
        of_series = (
            select(
                _chunk.series, _run.id.label("run"), func.min(_chunk.first_step).label("first"),
                func.max(_chunk.last_step).label("last"),
            )
            .join(Series, _series.id == _chunk.series)
            .join(Run, _run.id == _series.run)
            .where(_run.study == study_id, _series.metric == "train/seconds")
            .group_by(_chunk.series, _run.id)
            .subquery()
        )  # fmt: skip
        ends = (_chunk.first_step == of_series.c.first) | (_chunk.last_step == of_series.c.last)
        query = (
            select(of_series.c.run, _chunk.first_step, _chunk.last_step, _chunk["values"])
            .join(of_series, (of_series.c.series == _chunk.series) & ends)
            .order_by(_chunk.id)
        )
        first: dict[str, tuple[int, float]] = {}
        last: dict[str, tuple[int, float]] = {}
        with self.reading() as session:
            for run, begin, end, blob in session.execute(query):
                values = np.frombuffer(blob, "<f8")
                first[run] = min(first.get(run, (begin, values[0])), (begin, values[0]))
                last[run] = max(last.get(run, (end, values[-1])), (end, values[-1]))
        return {
            run: float((last[run][1] - first[run][1]) / (last[run][0] - first[run][0]))
            for run in first
            if last[run][0] > first[run][0]
        }

    def changing_studies(self) -> dict[str, tuple[tuple[str, int], ...]]:
        """{study that is running: (status of its runs, how many)}, to see whether one has ended."""
        query = (
            select(_study.id, func.coalesce(_run.status, literal("")), func.count(_run.id))
            .outerjoin(Run, (_run.study == _study.id) & (_run.deleted == false()))
            .where(_study.status == "running")
            .group_by(_study.id, _run.status)
            .order_by(_study.id, _run.status)
        )
        counts: dict[str, tuple[tuple[str, int], ...]] = {}
        with self.reading() as session:
            for study, status, count in session.execute(query):
                counts[study] = (*counts.get(study, ()), (status, count))
        return counts


class Studies(StudyReads, Runs):
    """Makes studies, queues their runs, and orders them as one."""

    def create_study(
        self,
        name: str,
        document: Mapping[str, Any],
        variants: Sequence[Mapping[str, Any]],
        cells: int,
    ) -> str:
        """Store a study whose runs are to be queued; returns its id."""
        study = Study(
            id=new_id("y"), name=name, status="running", cells=cells,
            document=dict(document), variants=list(variants),
        )  # fmt: skip
        with self.writing() as session:
            session.add(study)
        return study.id

    def queue_cells(
        self,
        study_id: str,
        wanted: Sequence[Mapping[str, Any]],
        *,
        cells: int,
        timings: Mapping[str, float],
    ) -> list[str]:
        """Queue a run for each `{config, labels, plugins, cell}` that has none, as far as there is
        room; returns their ids.

        Nothing is queued unless the study is running. What was found out meanwhile (the number of
        its runs, the timings) is stored with them.
        """
        with self.writing() as session:
            study = _find(session, study_id)
            if study.status != "running":
                return []
            study.cells, study.timings = cells, dict(timings)
            session.add(study)
            query = select(_run.cell).where(_run.study == study_id, _run.deleted == false())
            placed = {_canonical(cell) for cell in session.execute(query).scalars()}
            missing = [each for each in wanted if _canonical(each["cell"]) not in placed]
            runs = [new_run(each, study_id) for each in missing[: _room(session, study_id)]]
            session.add_all(runs)
        for run in runs:
            self._notify(Commit("run", run.id))
        return [run.id for run in runs]

    def extend_study(self, study_id: str, seeds: Sequence[int]) -> None:
        """Add seeds to those that are reported; a study that is finished goes on."""
        with self.writing() as session:
            study = _find(session, study_id)
            _require_document(study)
            given = study.document["seeds"]
            new = [seed for seed in seeds if seed not in given]
            study.document = {**study.document, "seeds": [*given, *new]}
            if study.status == "finished" and new:
                study.status, study.finished = "running", None
            session.add(study)

    def interrupt_active(self, reason: str) -> int:
        """See `Runs.interrupt_active`; the studies that are running are paused."""
        with self.writing() as session:
            running = select(Study).where(_study.status == "running")
            for study in session.execute(running).scalars():
                study.status = "paused"
                session.add(study)
        return super().interrupt_active(reason)

    def finish_study(self, study_id: str, cells: int, seeds: Sequence[int]) -> bool:
        """End a study all of whose runs have ended; whether it was running until now.

        `seeds` are those that the caller knows: there may be more by now.
        """
        with self.writing() as session:
            study = _find(session, study_id)
            mine = (_run.study == study_id) & (_run.deleted == false())
            active = select(_run.id).where(mine, _run.status.in_(ACTIVE))
            extended = list(study.document["seeds"]) != list(seeds)
            if study.status != "running" or extended or session.execute(active).first():
                return False
            study.status, study.finished, study.cells = "finished", now(), cells
            session.add(study)
        return True

    def order_study(self, study_id: str, order: Order) -> list[str]:
        """Pause, resume, cancel or retry a study as one; returns the ids of the runs that changed.

        pause: its runs wait, and no more are queued. resume: they go on, also those of a cancelled
        study. cancel: its runs end. retry: runs that failed or were cancelled are made again.
        Raises ConflictError if its status forbids the order.
        """
        with self.writing() as session:
            study = _find(session, study_id)
            _require(study, order)
            runs = _placed(session, study_id)
            changed = [run for run in runs if _ordered(run, order)]
            if order in ("pause", "cancel"):
                study.status = "paused" if order == "pause" else "cancelled"
                study.finished = now() if order == "cancel" else None
            elif order == "resume" or (changed and study.status != "paused"):
                study.status, study.finished = "running", None
            session.add_all([study, *changed])
        for run in changed:
            self._notify(Commit("run", run.id))
        return [run.id for run in changed]


def _find(session: Session, study_id: str) -> Study:
    study = session.get(Study, study_id)
    if study is None:
        raise MissingError(f"there is no study {study_id[:40]!r}")
    return study


def _placed(session: Session, study_id: str) -> list[Run]:
    """The runs that stand for the cells of a study."""
    query = select(Run).where(_run.study == study_id, _run.deleted == false())
    runs = session.execute(query.order_by(_run.number)).scalars()
    return [run for run in runs if not (run.cell or {}).get("retried")]


def _canonical(cell: Mapping[str, Any] | None) -> str:
    return json.dumps(cell, sort_keys=True)


def _room(session: Session, study_id: str) -> int:
    """How many more runs of a study may be queued now."""
    active = session.execute(select(_run.study).where(_run.status.in_(ACTIVE))).scalars().all()
    own = sum(study == study_id for study in active)
    return max(0, min(PORTION - own, MAX_ACTIVE - len(active)))


_ALLOWED: Mapping[Order, tuple[str, ...]] = {
    "pause": ("running",),
    "resume": ("paused", "cancelled"),
    "cancel": ("running", "paused"),
    "retry": ("running", "paused", "finished", "cancelled"),
}


def _require_document(study: Study) -> None:
    """Raise ConflictError for a study of an earlier version, which has no document."""
    if not study.document:
        raise ConflictError(
            f"the study {study.name!r} was made by an earlier version of the lab, which queued its "
            "runs at once: it has no table, and its runs are steered one by one"
        )


def _require(study: Study, order: Order) -> None:
    """Raise ConflictError unless the study has a document and a status that allow the order."""
    _require_document(study)
    if study.status not in _ALLOWED[order]:
        raise ConflictError(
            f"the study {study.name!r} is {study.status}; only a {' or '.join(_ALLOWED[order])} "
            f"study can be {_PAST[order]}"
        )


_PAST: Mapping[Order, str] = {
    "pause": "paused", "resume": "resumed", "cancel": "cancelled", "retry": "retried",
}  # fmt: skip


def _ordered(run: Run, order: Order) -> bool:
    """Give the order to one run, where it is about that run; whether it was changed."""
    cancelled = run.status == "cancelled" or (run.cancel and run.status in ACTIVE)
    if order == "pause" and run.status in ("queued", "running"):
        run_orders.hold(run)
    elif order == "cancel" and run.status in ACTIVE:
        run_orders.cancel(run)
    elif (order == "retry" and run.status in FAILED) or (order == "resume" and cancelled):
        run.cell = {**(run.cell or {}), "retried": True}
    elif order == "resume" and run.status in ACTIVE and run.run_until is not None:
        run_orders.resume(run)
    else:
        return False
    return True
