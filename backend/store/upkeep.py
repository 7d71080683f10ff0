"""Long work on the database, in transactions so short that reports are stored in between.

Chunks are merged, deleted runs are removed, their space is given back to the file system, and
chunks of earlier versions get summaries.
"""

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import delete, select, true
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlmodel import Session

from backend.store import points
from backend.store.base import Base, Commit, Item
from backend.store.chunks import Packed
from backend.store.summaries import SUMMARISED
from backend.store.tables import Chunk, ChunkSummary, Report, Run, Series

_log = logging.getLogger(__name__)
_chunk = Chunk.__table__.c  # type: ignore[attr-defined]
_report = Report.__table__.c  # type: ignore[attr-defined]
_run = Run.__table__.c  # type: ignore[attr-defined]
_summary = ChunkSummary.__table__.c  # type: ignore[attr-defined]
_series = Series.__table__.c  # type: ignore[attr-defined]

ROWS = 500
"""Reports that are deleted at a time."""
PAGES = 256
"""Pages that are given back at a time: 4 MB."""
RETRY = 60.0
"""Seconds after which the housekeeper tries again what failed, for example on a full disk."""


class Upkeep(Base):
    """Merges, removes and summarises rows."""

    def _merge(self, run_id: str, below: int) -> None:
        """Join small chunks of a run; one that has ended gets a summary of every large chunk.

        Points that cannot be merged, for example because the disk is full, stay as they are.
        """
        try:
            with self.reading() as session:
                series = points.mergeable(session.connection(), run_id, below)
            self.in_turns(series, lambda s, id: points.merge_series(s.connection(), id, below))
            if below == points.FULL:
                self.summarise(_chunk.series.in_(select(_series.id).where(_series.run == run_id)))
        except OperationalError as error:
            _log.warning("the points of run %s are not merged: %s", run_id, error.orig)

    def summarise(self, chunks: Any = None) -> None:
        """Give every large chunk a summary that has none; of `chunks` (a condition) alone."""
        lacking = ~select(_summary.chunk).where(_summary.chunk == _chunk.id).exists()
        query = select(_chunk.id).where(_chunk.count >= SUMMARISED, lacking)
        with self.reading() as session:
            ids = session.execute(query if chunks is None else query.where(chunks)).scalars().all()
        self._while_open(ids, _summarise)

    def remove_deleted(self) -> bool:
        """Remove the rows of deleted runs, and give their space back; whether there were any."""
        with self.reading() as session:
            runs = session.execute(select(_run.id).where(_run.deleted == true())).scalars().all()
        for run_id in runs:
            self._remove(run_id)
        if runs:
            self.give_space_back()
        return bool(runs)

    def _remove(self, run_id: str) -> None:
        of_run = _chunk.series.in_(select(_series.id).where(_series.run == run_id))
        with self.reading() as session:
            # The last ones first, which tend to be at the end of the file.
            query = select(_chunk.id).where(of_run).order_by(_chunk.id.desc())
            chunks = session.execute(query).scalars().all()
            reports = (
                session.execute(select(_report.id).where(_report.run == run_id)).scalars().all()
            )
        batches = [reports[at : at + ROWS] for at in range(0, len(reports), ROWS)]
        self._while_open(chunks, self._remove_chunk)
        self._while_open(
            batches, lambda s, ids: s.execute(delete(Report).where(_report.id.in_(ids)))
        )
        # The rest, series and events and attempts, are few.
        self._while_open([run_id], lambda s, id: s.execute(delete(Run).where(_run.id == id)))

    def _remove_chunk(self, session: Session, chunk: int) -> None:
        session.execute(delete(Chunk).where(_chunk.id == chunk))
        if self.engine.dialect.name == "sqlite":
            # At once: the time to give a page back grows with the number of free ones.
            _vacuum(session)

    def _while_open(self, items: Iterable[Item], work: Callable[[Session, Item], object]) -> None:
        """`in_turns`, until the server ends: the next one goes on with the rest."""
        self.in_turns(itertools.takewhile(lambda _: not self.closing.is_set(), items), work)

    def give_space_back(self) -> None:
        """Shorten the database's file by its free pages.

        SQLite alone; a file of an earlier version that was too large to be rewritten when it was
        opened keeps free pages for later runs.
        """
        if self.engine.dialect.name == "sqlite":
            self._while_open(self._free_pages(), _vacuum)
            with self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _free_pages(self) -> Iterator[int]:
        """Numbers of free pages, until there are none or no fewer than before."""
        before = None
        while (free := self._free()) and free != before:
            before = free
            yield free

    def _free(self) -> int:
        with self.reading() as session:
            ask = session.connection().exec_driver_sql
            return ask("PRAGMA freelist_count").scalar_one()


def _summarise(session: Session, chunk: int) -> None:
    row = session.execute(select(*points.COLUMNS).where(_chunk.id == chunk)).first()
    if row is not None:
        points.add_summary(session.connection(), chunk, Packed(*row))


def _vacuum(session: Session, _free: int = 0) -> None:
    connection = session.connection().connection.driver_connection
    # `execute` would end after the first page; a script runs to its end, in its own transaction.
    connection.executescript(f"PRAGMA incremental_vacuum({PAGES})")  # type: ignore[union-attr]


class Housekeeper:
    """A thread that removes deleted runs, now and whenever one is deleted."""

    def __init__(self, store: Upkeep) -> None:
        self._store = store
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="housekeeper", daemon=True)
        store.listen(self._committed)

    def start(self) -> None:
        """Begin with what an earlier server has left."""
        self._wake.set()
        self._thread.start()

    def close(self) -> None:
        """End after the present transaction; the next server goes on with the rest."""
        self._store.closing.set()
        self._wake.set()
        self._thread.join()

    def _committed(self, commit: Commit) -> None:
        if commit.kind == "deleted":
            self._wake.set()

    def _work(self) -> None:
        wait: float | None = None
        while True:
            self._wake.wait(wait)
            self._wake.clear()
            if self._store.closing.is_set():
                return
            try:
                self._store.remove_deleted()
                self._store.summarise()
                wait = None
            except SQLAlchemyError as error:
                if wait is None:
                    _log.warning("deleted runs will be removed later: %s", error)
                wait = RETRY
