"""What the database knows about studies: lists, state, and what their runs measured."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from sqlalchemy import case, false, func, literal, or_, select
from sqlmodel import Session

from backend.config import ACTIVE
from backend.store.base import Base, ConflictError, MissingError
from backend.store.tables import Chunk, Run, Series, Study

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
            study = find_study(session, study_id)
        require_document(study)
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


def find_study(session: Session, study_id: str) -> Study:
    study = session.get(Study, study_id)
    if study is None:
        raise MissingError(f"there is no study {study_id[:40]!r}")
    return study


def require_document(study: Study) -> None:
    """Raise ConflictError for a study of an earlier version, which has no document."""
    if not study.document:
        raise ConflictError(
            f"the study {study.name!r} was made by an earlier version of the lab, which queued its "
            "runs at once: it has no table, and its runs are steered one by one"
        )
