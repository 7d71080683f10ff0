"""A figure or an export takes several reads; a run may lose its points between any two of them."""

import datetime
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, insert, select

import backend.sharing.page
from backend.figures.catalogue import modules
from backend.store import Store, points
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport
from backend.store.tables import Chunk, ChunkSummary, Run
from tests.backend.figures.full_source import ALIKE, RUNS, full_source, run_of

MOST = 2
"""Places within a request at which its run is changed, beside the last one."""
Change = Callable[[], object]


@pytest.fixture(scope="module")
def client(lasting_client) -> Any:
    return lasting_client


@pytest.fixture(scope="module")
def store(client) -> Store:
    return client.app.state.lab.store


@pytest.fixture(scope="module")
def runs(store) -> dict[str, str]:
    """The runs of `full_source`, in the store: {id there: id here}."""
    source, ids = full_source(), {}
    for there in RUNS:
        run = source.run(there)
        kind = "microscope" if "microscope" in run.config else "training"
        made = {"config": {**run.config, "name": there}, "labels": {**run.labels}, "kind": kind}
        ((row,), _) = store.create_runs([{**made, "steps": 100}])
        store.begin_attempt(row.id)
        series = []
        for each in source.series(there):
            held = source.points(each.id)
            names = (each.metric, each.layer, each.estimator, each.unit)
            series.append(SeriesPoints(*names, held.steps, held.values))
        store.report(WorkerReport(row.id, 1, 1, "running", series, facts={**run.facts}))
        ids[there] = row.id
    return ids


@pytest.fixture(scope="module")
def chunks(store, runs) -> list[dict[str, Any]]:
    """All points, as they are stored."""
    with store.reading() as session:
        return [dict(row) for row in session.execute(select(Chunk.__table__)).mappings()]


@pytest.fixture(params=["deleted", "attempt"])
def changed_before(request, store, runs, chunks) -> Any:
    """A function of a number: within it, every run loses its points before that SELECT."""

    def lose_points() -> None:
        with store.writing() as session:
            for run_id in runs.values():
                points.cut(session.connection(), run_id, 0)
            if request.param == "deleted":
                session.execute(Run.__table__.update().values(deleted=True))

    def restore() -> None:
        with store.writing() as session:
            session.execute(ChunkSummary.__table__.delete())
            session.execute(Chunk.__table__.delete())
            session.execute(insert(Chunk), chunks)
            session.execute(Run.__table__.update().values(deleted=False))

    @contextmanager
    def changed_before(number: int) -> Iterator[list[str]]:
        with _before_select(store, number, lose_points) as statements:
            yield statements
        restore()

    return changed_before


@contextmanager
def _before_select(store: Store, number: int, change: Change) -> Iterator[list[str]]:
    """Call `change` before the SELECT of that number; yields all of them."""
    statements: list[str] = []
    changing = False

    def execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal changing
        # Not those of the stream of events and of the housekeeper.
        of_request = threading.current_thread().name.startswith("AnyIO")
        if changing or not of_request or not statement.startswith("SELECT"):
            return
        statements.append(statement)
        if len(statements) == number:
            changing = True
            change()
            changing = False

    event.listen(store.engine, "before_cursor_execute", execute)
    try:
        yield statements
    finally:
        event.remove(store.engine, "before_cursor_execute", execute)


def _holds(client: Any, changed_before: Any, path: str, begun: int = 1) -> None:
    """The answer is that of one state, wherever the change falls.

    That state is the first, if the change comes after the first `begun` SELECTs.
    """
    whole = client.get(path)
    assert whole.status_code == 200, whole.text
    with changed_before(0) as statements:
        client.get(path)
    count = len(statements)
    assert count > 1
    for number in sorted({*range(begun, begun + MOST), count}):
        with changed_before(number):
            answer = client.get(path)
        where = f"before SELECT {number} of {count}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500, where
        assert number <= begun or answer.content == whole.content, where


@pytest.mark.parametrize("figure", sorted(modules()))
def test_a_figure_shows_one_state(client, runs, changed_before, figure):
    query = f"runs={runs[run_of(figure)]}&estimator={ALIKE[0]}"
    path = f"/api/figures/{figure}?{query}"
    if client.get(path).status_code == 422:
        path = path.partition("&estimator")[0]
    _holds(client, changed_before, path)


def test_exports_and_a_diagnosis_show_one_state(client, runs, changed_before, monkeypatch):
    class Then(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Then":
            return cls(2026, 1, 1, tzinfo=tz)

    monkeypatch.setattr(backend.sharing.page, "datetime", Then)
    for path in ("diagnosis", "findings", "series"):
        _holds(client, changed_before, f"/api/runs/{runs['r1']}/{path}")
    for kind in ("csv", "parquet", "html"):
        _holds(client, changed_before, f"/api/export/runs/{runs['p1']}.{kind}", begun=2)
