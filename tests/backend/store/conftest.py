"""A store over a fresh database."""

from collections.abc import Iterator

import numpy as np
import pytest

from backend.store import Run, Store, open_engine
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    engine = open_engine(f"sqlite:///{tmp_path / 'lab.db'}")
    yield Store(engine)
    engine.dispose()


@pytest.fixture
def run(store) -> Run:
    """A run whose first attempt has begun."""
    made = store.create_run({"name": "r", "steps": 10**6}, {"driver": "backprop", "shadows": []})
    return store.begin_attempt(made.id)[0]


class Pen:
    """Writes points of a run as its worker would."""

    def __init__(self, store: Store, run: Run) -> None:
        self.store, self.run, self.sequence, self.attempt = store, run, 0, 1

    def write(self, steps, values, metric="train/loss", status="running") -> None:
        steps, values = np.asarray(steps, np.int64), np.asarray(values, np.float64)
        series = [SeriesPoints(metric, "", "", "nats", steps, values)] if len(steps) else []
        self.store.report(WorkerReport(self.run.id, self.attempt, self.sequence, status, series))
        self.sequence += 1

    def read(self, **ask):
        (series,) = self.store.series(self.run.id)
        return self.store.points(series.id, **ask)


@pytest.fixture
def pen(store, run) -> Pen:
    return Pen(store, run)


@pytest.fixture
def rows(store):
    """How many chunks there are."""
    from sqlalchemy import text

    def count() -> int:
        with store.engine.connect() as connection:
            return connection.execute(text("SELECT COUNT(*) FROM chunk")).scalar_one()

    return count
