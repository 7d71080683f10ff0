"""`Store`: everything in the database; `Snapshot`: one state of it; `RunsView`: some runs alone."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager

from sqlalchemy import Engine
from sqlmodel import Session

from backend.store.base import MissingError
from backend.store.columns import Columns
from backend.store.dashboards import DashboardReads, Dashboards
from backend.store.queries import Queries
from backend.store.reads import Points, Reads, SeriesInfo
from backend.store.reports import Reports
from backend.store.studies import Studies
from backend.store.study_reads import StudyReads
from backend.store.tables import Event, Run


class Snapshot(Queries, Reads, StudyReads, DashboardReads):
    """Reads that all see the database as it was at the first of them, until `close`.

    What is written meanwhile, such as the deletion of a run, shows in none of them. One thread at
    a time may read.
    """

    def __init__(self, engine: Engine) -> None:
        if engine.dialect.name != "sqlite":  # whose transactions always read one state
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        super().__init__(engine)
        self._session = Session(engine, expire_on_commit=False)
        self._series: dict[str, list[SeriesInfo]] = {}

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """The session of this snapshot."""
        yield self._session

    def series(self, run_id: str) -> list[SeriesInfo]:
        """See `Reads.series`. Every chart of a page asks for it: it is read once."""
        if run_id not in self._series:
            self._series[run_id] = super().series(run_id)
        return self._series[run_id]

    def close(self) -> None:
        """End the transaction that reads."""
        self._session.close()


class Store(Queries, Reads, Studies, Reports, Dashboards):
    """The lab's database. One object serves all threads of the server."""

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One state of the database, for answers that take several reads."""
        with closing(Snapshot(self.engine)) as snapshot:
            yield snapshot


class RunsView:
    """What a shared page may read: some runs and their points, and nothing else."""

    def __init__(self, store: Store | Snapshot, runs: Collection[str]) -> None:
        self._store, self._runs = store, frozenset(runs)

    def run(self, run_id: str) -> Run:
        """One of the runs. Raises MissingError for any other, even if it exists."""
        if run_id not in self._runs:
            raise MissingError(f"there is no run {run_id[:40]!r} on this page")
        return self._store.run(run_id)

    def series(self, run_id: str) -> list[SeriesInfo]:
        """See `Reads.series`. Raises MissingError for other runs."""
        return self._store.series(self.run(run_id).id)

    def marked_events(self, run_ids: Sequence[str]) -> dict[str, list[Event]]:
        """See `Queries.marked_events`. Raises MissingError for other runs."""
        return self._store.marked_events([self.run(run_id).id for run_id in run_ids])

    def points(
        self,
        series_id: int,
        *,
        max: int | None = None,
        first: int | None = None,
        last: int | None = None,
        newest: int | None = None,
    ) -> Points:
        """See `Reads.points`. Raises MissingError for series of other runs."""
        self._require(series_id)
        return self._store.points(series_id, max=max, first=first, last=last, newest=newest)

    def columns(
        self,
        series_ids: Sequence[int],
        most: int,
        *,
        first: int | None = None,
        last: int | None = None,
    ) -> Columns:
        """See `Reads.columns`. Raises MissingError for series of other runs."""
        for series_id in series_ids:
            self._require(series_id)
        return self._store.columns(series_ids, most, first=first, last=last)

    def pieces(self, series_id: int) -> Iterator[Points]:
        """See `Reads.pieces`. Raises MissingError for series of other runs."""
        self._require(series_id)
        return self._store.pieces(series_id)

    def _require(self, series_id: int) -> None:
        if self._store.series_run(series_id) not in self._runs:
            raise MissingError(f"there is no series {series_id} on this page")
