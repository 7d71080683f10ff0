"""Reading runs and studies: one, a page of them, the active ones, and what happened to them."""

from collections.abc import Sequence

from sqlalchemy import false, func, or_
from sqlmodel import col, select

from backend.config import ACTIVE
from backend.store.base import Base, MissingError, find_run
from backend.store.tables import Event, Run, Study

MAX_PAGE = 200
MARKED_EVENTS = (
    "death", "attempt", "change", "checkpoint", "disk", "fork", "memory", "plug-in", "finding",
)  # fmt: skip
"""Kinds of events that belong on a chart's axis: what happened to a run that its curve does not
show."""
MAX_MARKED = 50
"""Marked events of a run, the newest."""


class Queries(Base):
    """Reads runs and studies."""

    def run(self, run_id: str) -> Run:
        """One run. Raises MissingError."""
        with self.reading() as session:
            return find_run(session, run_id)

    def runs(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        parent: str | None = None,
        search: str = "",
        limit: int = 50,
        before: int | None = None,
    ) -> tuple[list[Run], int]:
        """A page of runs, newest first, and the number of runs on all pages.

        `search` matches names, ids and the driver's label; `parent` is the id of the run whose
        checkpoint they began with; `before` is the number of a run: the page has older ones.
        """
        query = select(Run).where(Run.deleted == false())
        if status:
            query = query.where(Run.status == status)
        if kind:
            query = query.where(Run.kind == kind)
        if parent:
            query = query.where(Run.parent == parent)
        if search:
            like = f"%{_escaped(search)}%"
            fields = (col(Run.name), col(Run.id), col(Run.labels)["driver"].as_string())
            query = query.where(or_(*(field.ilike(like, escape="\\") for field in fields)))
        page = query if before is None else query.where(col(Run.number) < before)
        page = page.order_by(col(Run.number).desc()).limit(min(limit, MAX_PAGE))
        with self.reading() as session:
            total = session.exec(select(func.count()).select_from(query.subquery())).one()
            return list(session.exec(page)), total

    def count_runs(self, besides: Sequence[str] = ()) -> int:
        """How many runs there are whose ids are not in `besides`."""
        others = select(func.count()).where(
            Run.deleted == false(), col(Run.id).not_in(list(besides))
        )
        with self.reading() as session:
            return session.exec(others).one()

    def marked_events(self, run_ids: Sequence[str]) -> dict[str, list[Event]]:
        """The newest events of the kinds `MARKED_EVENTS` of each run, oldest first."""
        place = func.row_number().over(partition_by=col(Event.run), order_by=col(Event.id).desc())
        newest = (
            select(col(Event.id).label("id"), place.label("place"))
            .where(col(Event.run).in_(run_ids), col(Event.kind).in_(MARKED_EVENTS))
            .subquery()
        )
        query = select(Event).join(newest, col(Event.id) == newest.c.id)
        query = query.where(newest.c.place <= MAX_MARKED).order_by(col(Event.id))
        events: dict[str, list[Event]] = {run_id: [] for run_id in run_ids}
        with self.reading() as session:
            for event in session.exec(query):
                events[event.run].append(event)
        return events

    def active(self) -> list[Run]:
        """Runs that are queued, running or paused, oldest first."""
        query = select(Run).where(col(Run.status).in_(ACTIVE)).order_by(col(Run.number))
        with self.reading() as session:
            return list(session.exec(query))

    def find(self, word: str) -> Run:
        """The run with this id or number. Raises MissingError."""
        if not (word.isascii() and word.isdigit() and len(word) < 19):
            return self.run(word)
        with self.reading() as session:
            run = session.get(Run, int(word))
        if run is None or run.deleted:
            raise MissingError(f"there is no run {word}")
        return run

    def study(self, study_id: str) -> tuple[Study, list[Run]]:
        """A study and its runs, in the order of the grid. Raises MissingError."""
        with self.reading() as session:
            study = session.get(Study, study_id)
            if study is None:
                raise MissingError(f"there is no study {study_id[:40]!r}")
            runs = select(Run).where(Run.study == study_id, Run.deleted == false())
            return study, list(session.exec(runs.order_by(col(Run.number))))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
