"""The same figures over the real points store."""

import numpy as np
import pytest

from backend.figures import draw
from backend.store import Store, open_engine
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport
from backend.store.store import RunsView


@pytest.fixture
def store(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'lab.db'}")
    yield Store(engine)
    engine.dispose()


def flush(metric, values, layer="", estimator=""):
    steps = np.arange(len(values), dtype=np.int64)
    return SeriesPoints(metric, layer, estimator, "", steps, np.asarray(values, np.float64))


@pytest.fixture
def run_id(store):
    labels = {"driver": "backprop", "shadows": []}
    run = store.create_run({"name": "a run", "batch_size": 8}, labels)
    store.begin_attempt(run.id)
    loss = np.sin(np.arange(5000.0))
    loss[[1234, 4321, 2500]] = 99.0, -99.0, np.nan
    series = [
        flush("train/loss", loss),
        flush("cosine", [1.0, 1.0], "hidden1", "backprop"),
        flush("scaled_error", [0.0, 0.0], "", "backprop"),
    ]
    store.report(WorkerReport(run.id, 1, 1, "running", series))
    return run.id


def test_extrema_and_nan_of_a_stored_series_are_shown(store, run_id):
    drawn = draw("curve", store, {"runs": run_id, "max": "200"})
    line, marks, *_ = drawn["figure"]["data"]
    assert {99.0, -99.0} <= set(line["y"])
    assert marks["x"] == [2500.0]
    assert drawn["count"] == 5000
    assert drawn["shown"] <= 200


@pytest.mark.parametrize("name", ["carpet", "layers", "layer_panels", "ranking", "bias_variance"])
def test_every_figure_draws_from_the_store_and_from_a_shared_window(name, store, run_id):
    query = {"runs": run_id}
    assert draw(name, store, query) == draw(name, RunsView(store, [run_id]), query)


def test_a_window_shows_no_other_run(store, run_id):
    with pytest.raises(LookupError):
        draw("curve", RunsView(store, []), {"runs": run_id})
