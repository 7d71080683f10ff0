"""The race over HTTP: it starts once a home, and never beside other runs."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastapi.testclient import TestClient

from backend.api.routes import race
from backend.race.preset import preset
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport

LABELS = preset().labels


@pytest.fixture(autouse=True)
def _any_estimator(fake, monkeypatch):
    """A lab that knows every estimator: the preset has tests of its own."""

    def validate(configs, kind="training"):
        labels = [{"driver": config["estimator"]["name"], "shadows": []} for config in configs]
        return [
            {"config": config, "labels": each, "plugins": {}}
            for config, each in zip(configs, labels, strict=True)
        ]

    monkeypatch.setattr(fake, "validate", validate)


def start(client: TestClient, path: str = "", **body: str) -> dict:
    answer = client.post(f"/api/race{path}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def test_before_it_is_started_there_is_the_recording(client):
    answer = client.get("/api/race").json()
    assert (answer["run"], answer["story"]) == (None, None)
    assert (answer["races"], answer["others"]) == ([], 0)
    assert [each["label"] for each in answer["estimators"]] == LABELS
    told = answer["recording"]
    assert len(told["steps"]) == answer["steps"] / answer["every"] == 75
    assert [each["label"] for each in told["estimators"]] == LABELS
    assert len(answer["examples"]) == len(told["reading"]) == 15
    assert {len(each["pixels"]) for each in answer["examples"]} == {64}
    assert told["estimators"][0]["says"][0] == [0, "Equals the exact gradient in every layer."]


def test_a_recording_that_does_not_fit_is_not_shown(client, monkeypatch):
    monkeypatch.setattr(race, "recording", lambda: None)
    assert client.get("/api/race").json()["recording"] is None


def test_it_starts_once_a_home(client, store):
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(start, client) for _ in "abc"]
    ids = {answer.result()["run"]["id"] for answer in answers}
    assert len(ids) == 1
    (run,) = ids
    assert store.run(run).config["name"] == "Five estimators on digits"
    client.post(f"/api/runs/{run}/cancel")
    assert start(client)["run"]["id"] == run, "an ended one is not repeated"
    client.delete(f"/api/runs/{run}")
    assert start(client)["run"] is None, "nor is a deleted one"
    assert store.runs()[1] == 0


def test_it_does_not_start_beside_other_runs(client, store, run):
    assert start(client)["run"] is None
    assert store.runs()[1] == 1
    assert client.get("/api/race").json()["others"] == 1
    client.post(f"/api/runs/{run}/cancel")
    assert start(client)["run"]["number"] == 2
    answer = client.get("/api/race").json()
    assert (answer["others"], len(answer["races"])) == (1, 1)


def test_it_does_not_start_where_the_operator_says_so(client, settings, store, monkeypatch):
    monkeypatch.setattr(settings, "race", False)
    assert start(client)["run"] is None
    assert store.runs()[1] == 0


def test_again_with_another_driver_at_its_rate(client, store):
    first = start(client)["run"]
    again = start(client, "/again", driver="fdfa")["run"]
    assert again["id"] != first["id"]
    config = store.run(again["id"]).config
    assert config["estimator"] == {"name": "fdfa"}
    assert config["optimizer"]["lr"] == preset().racer("fdfa").rate
    answer = client.get("/api/race").json()
    assert answer["run"]["id"] == again["id"]
    assert (answer["races"], answer["others"]) == ([first["id"], again["id"]], 0)
    refusal = client.post("/api/race/again", json={"driver": "spsa"})
    assert refusal.status_code == 422
    assert refusal.json()["detail"][0]["loc"] == ["driver"]


def test_what_the_run_measures_is_told(client, store):
    mine = start(client)["run"]["id"]
    assert client.get("/api/race/run").json()["story"] is None
    run, _ = store.begin_attempt(mine)
    layers = ["", *(layer.name for layer in preset().layers)]
    series = [points("cosine", [0.5], layer, label) for label in LABELS for layer in layers]
    series.append(points("train/loss", [2.0] * 32))
    facts = {"unbiased": {"fdfa": True}, "drives": [[0, "forward_gradient"]]}
    store.report(WorkerReport(mine, run.attempt, 0, "running", series, facts=facts))
    told = client.get("/api/race/run").json()["story"]
    assert told["steps"] == [0]
    assert told["loss"]["mean"] == [2.0, 2.0]
    assert told["estimators"][1]["whole"] == [0.5]
    assert told["estimators"][1]["says"] == [[0, "Right on average, partly right in one draw."]]
    assert told["drives"] == [[0, "forward_gradient"]]
    assert told["takeaways"]["alignment"] == [[0, "Too early to say: 1 of 5 probes."]]


def points(metric: str, values: list[float], layer: str = "", estimator: str = "") -> SeriesPoints:
    steps = np.arange(len(values))
    return SeriesPoints(metric, layer, estimator, "", steps, np.array(values))
