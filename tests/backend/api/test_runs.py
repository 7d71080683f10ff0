"""Runs over HTTP: started, listed, steered, deleted."""

import sqlite3

import pytest
from sqlalchemy.exc import DatabaseError

from backend.store.store import Snapshot


def test_a_run_is_validated_and_queued(client, fake, config):
    answer = client.post("/api/runs", json=config)
    run = answer.json()
    assert answer.status_code == 201
    assert (run["number"], run["status"], run["steps"]) == (1, "queued", 100)
    assert run["labels"]["driver"] == "backprop"
    assert ("submit", run["id"]) in fake.told
    assert client.get(f"/api/runs/{run['id']}").json() == client.get("/api/runs/1").json()


def test_what_the_inspector_refuses_is_told_beside_the_field(client, config):
    answer = client.post("/api/runs", json={**config, "estimator": {"name": "backdrop"}})
    assert answer.status_code == 422
    problem = {"loc": ["estimator", "name"], "msg": "there is no estimator 'backdrop'"}
    assert answer.json()["detail"] == [problem]
    assert client.get("/api/runs").json()["total"] == 0


def test_problems_of_the_frame_come_with_the_inspectors_and_all_at_once(client, config):
    answer = client.post("/api/runs", json={**config, "batch_size": -4, "seed": "x"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == [
        {"loc": ["batch_size"], "msg": "batch_size is -4; it must be at least 1"},
        {"loc": ["seed"], "msg": "seed is 'x'; it must be a whole number"},
    ]


def test_a_body_that_is_no_object_is_refused_in_the_same_words(client):
    answer = client.post("/api/runs", json=[1])
    assert answer.json()["detail"] == [{"loc": [], "msg": "the body is [1]; it must be an object"}]
    answer = client.post("/api/runs/1/step", json={"to": 0, "too": 1})
    assert answer.json()["detail"] == [
        {"loc": ["to"], "msg": "to is 0; it must be at least 1"},
        {"loc": ["too"], "msg": "no field 'too'"},
    ]


def test_the_form_of_a_run_is_documented(client):
    schema = client.get("/api/openapi.json").json()
    body = schema["paths"]["/api/runs"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["$ref"] == "#/components/schemas/RunConfig"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"steps": NaN}',
        b'{"optimizer": {"name": "sgd", "lr": 1e999}}',
        b'{"name": "\\ud800"}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"steps": ' + b"1" * 5000 + b"}",
    ],
)
def test_a_body_that_is_not_json_is_refused_in_words(client, body):
    headers = {"content-type": "application/json"}
    answer = client.post("/api/runs", content=body, headers=headers)
    assert answer.status_code == 422
    assert "not valid JSON" in answer.json()["detail"]


def test_a_slow_inspector_is_no_crash(client, config):
    answer = client.post("/api/runs", json={**config, "estimator": {"name": "slow"}})
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        "the inspector did not answer in 20 s",
    )


def test_a_name_of_markup_is_kept_as_the_text_that_it_is(client, config):
    name = "<script>alert(1)</script>"
    run = client.post("/api/runs", json={**config, "name": name}).json()
    assert client.get(f"/api/runs/{run['id']}").json()["name"] == name


def test_pages_of_runs(client, config):
    for i in range(5):
        client.post("/api/runs", json={**config, "name": f"run_{i}"})
    first = client.get("/api/runs?limit=2").json()
    assert [r["number"] for r in first["runs"]] == [5, 4]
    assert first["total"] == 5
    rest = client.get("/api/runs?limit=200&before=4").json()
    assert [r["number"] for r in rest["runs"]] == [3, 2, 1]
    assert [r["name"] for r in client.get("/api/runs?search=N_3").json()["runs"]] == ["run_3"]
    assert client.get("/api/runs?search=%25").json()["total"] == 0
    assert client.get("/api/runs?status=finished").json()["total"] == 0


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "before=0", "status=lost", f"search={'x' * 201}"]
)
def test_pages_are_capped(client, query):
    assert client.get(f"/api/runs?{query}").status_code == 422


def test_pause_step_resume(client, worker, fake):
    worker.send(progress={"step": 10, "steps": 100})
    paused = client.post(f"/api/runs/{worker.run}/pause")
    assert (paused.status_code, paused.json()["run_until"]) == (200, 10)
    assert ("signal", worker.run) in fake.told
    assert worker.send(status="paused").json()["run_until"] == 10
    step = f"/api/runs/{worker.run}/step"
    assert client.post(step, json={"to": 11}).json()["run_until"] == 11
    assert client.post(step, json={"to": 11}).json()["run_until"] == 11
    worker.send(status="paused", progress={"step": 11, "steps": 100})
    assert client.post(step, json={"to": 11}).json()["run_until"] == 11
    assert client.post(step, json={"to": 3}).json()["run_until"] == 11
    past = client.post(step, json={"to": 101})
    assert (past.status_code, "has 100 steps" in past.json()["detail"]) == (409, True)
    assert client.post(f"/api/runs/{worker.run}/resume").json()["run_until"] is None
    assert worker.send().json()["run_until"] is None


def test_orders_that_the_status_forbids(client, run):
    for order in ("pause", "resume"):
        answer = client.post(f"/api/runs/{run}/{order}")
        assert answer.status_code == 409
        assert "run 1 is queued; only a running or paused run" in answer.json()["detail"]
    assert client.post(f"/api/runs/{run}/cancel").json()["status"] == "cancelled"
    again = client.post(f"/api/runs/{run}/cancel")
    assert (again.status_code, "is cancelled" in again.json()["detail"]) == (409, True)


def test_a_running_run_is_cancelled_by_its_worker(client, worker):
    assert client.post(f"/api/runs/{worker.run}/cancel").json()["status"] == "running"
    assert worker.send().json()["cancel"] is True
    assert worker.send(status="cancelled").status_code == 200
    ended = client.get(f"/api/runs/{worker.run}").json()
    assert ended["status"] == "cancelled"
    assert ended["finished"] is not None


def test_deleting_takes_points_and_checkpoints_and_spares_the_active(client, worker, packed, app):
    worker.send(packed("train/loss", [1], [0.5]))
    folder = app.state.lab.home.run_dir(worker.run)
    folder.mkdir()
    (folder / "checkpoint.json").write_text("{}")
    refused = client.delete(f"/api/runs/{worker.run}")
    assert (refused.status_code, "running; cancel it" in refused.json()["detail"]) == (409, True)
    assert folder.exists()
    worker.send(status="finished")
    assert client.delete(f"/api/runs/{worker.run}").status_code == 204
    assert not folder.exists()
    for path in ("", "/series", "/events"):
        assert client.get(f"/api/runs/{worker.run}{path}").status_code == 404
    assert client.get("/api/runs").json() == {"runs": [], "total": 0}


def test_what_is_not_there_is_told_so(client):
    for path in ("/api/runs/rnone", "/api/runs/7", "/api/studies/y1", "/api/dashboards/d1"):
        answer = client.get(path)
        assert (answer.status_code, "there is no" in answer.json()["detail"]) == (404, True), path
    assert "there is nothing at" in client.get("/api/elsewhere").json()["detail"]
    assert "GET" in client.put("/api/health").json()["detail"]


def test_a_study_is_a_grid_and_all_or_nothing(client, config):
    grid = {"name": "grid", "configs": [config, {**config, "batch_size": 8}], "seeds": [1, 2, 3]}
    study = client.post("/api/studies", json=grid).json()
    runs = client.get(f"/api/studies/{study['id']}").json()["runs"]
    assert [(r["config"]["batch_size"], r["config"]["seed"]) for r in runs] == [
        (size, seed) for size in (64, 8) for seed in (1, 2, 3)
    ]
    bad = {**grid, "configs": [config, {**config, "estimator": {"name": "none"}}]}
    answer = client.post("/api/studies", json=bad)
    assert answer.json()["detail"][0]["loc"] == ["configs", 1, "estimator", "name"]
    many = client.post("/api/studies", json={**grid, "seeds": list(range(200))})
    assert (many.status_code, "400 runs; at most 256" in many.json()["detail"]) == (422, True)
    assert client.get("/api/runs").json()["total"] == 6


def test_runs_of_a_study_with_seeds_are_named_by_them(client, config):
    grid = {"name": "grid", "configs": [{**config, "name": "n" * 200}], "seeds": [1, 12]}
    runs = client.post("/api/studies", json=grid).json()["runs"]
    assert [run["name"][-9:] for run in runs] == ["n, seed 1", ", seed 12"]
    assert all(len(run["name"]) == 200 for run in runs)
    assert all(run["config"]["name"] == run["name"] for run in runs)
    del grid["seeds"]
    (alone,) = client.post("/api/studies", json=grid).json()["runs"]
    assert alone["name"] == "n" * 200


def test_the_catalogue_is_refreshed(client):
    assert client.get("/api/catalogue").json()["version"] == "1"
    assert client.post("/api/catalogue/refresh").json()["version"] == "2"


def test_a_learning_rate_is_changed_while_a_run_is_active(client, worker, fake):
    change = f"/api/runs/{worker.run}/change"
    assert client.post(change, json={"lr": 0.5}).status_code == 200
    assert client.post(change, json={"lr": 0.25}).status_code == 200
    assert ("signal", worker.run) in fake.told
    orders = [{"id": 1, "lr": 0.5}, {"id": 2, "lr": 0.25}]
    assert worker.send().json()["changes"] == orders
    for bad in (0, -1, 1001, "much"):
        assert client.post(change, json={"lr": bad}).status_code == 422
    worker.send(status="finished")
    late = client.post(change, json={"lr": 0.5})
    assert (late.status_code, "is finished" in late.json()["detail"]) == (409, True)


def test_a_database_that_fails_is_told_in_a_sentence(client, store, monkeypatch):
    def damaged(_run):
        original = sqlite3.DatabaseError("database disk image is malformed")
        raise DatabaseError("SELECT", {}, original)

    monkeypatch.setattr(store, "run", damaged)
    answer = client.get("/api/runs/r1/events")
    assert answer.status_code == 503
    assert answer.json()["detail"] == (
        "the database cannot be used now: database disk image is malformed"
    )


def test_a_csv_that_fails_at_once_is_no_broken_download(client, store, worker, packed, monkeypatch):
    worker.send(packed("train/loss", [0], [1.0]))

    def damaged(_store, _series):
        raise DatabaseError("SELECT", {}, sqlite3.DatabaseError("malformed"))

    monkeypatch.setattr(Snapshot, "pieces", damaged)
    assert client.get(f"/api/export/runs/{worker.run}.csv").status_code == 503
