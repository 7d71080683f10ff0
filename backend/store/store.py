"""`Store`: everything in the database, through one object; and a view of some runs alone."""

from collections.abc import Collection, Iterator, Sequence

from backend.store.base import MissingError
from backend.store.columns import Columns
from backend.store.dashboards import Dashboards
from backend.store.queries import Queries
from backend.store.reads import Points, Reads, SeriesInfo
from backend.store.reports import Reports
from backend.store.runs import Runs
from backend.store.tables import Event, Run


class Store(Queries, Reads, Runs, Reports, Dashboards):
    """The lab's database. One object serves all threads of the server."""


class RunsView:
    """What a shared page may read: some runs and their points, and nothing else."""

    def __init__(self, store: Store, runs: Collection[str]) -> None:
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
