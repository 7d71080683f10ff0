"""Studies over HTTP: validated as a whole, carried out, ordered as one, listed and shown."""

import json
from typing import Any

import pytest
import yaml

from backend.store.reports import WorkerReport
from tests.backend.studies.test_study_file import GRID

PLAIN = {**GRID, "methods": [{"label": "exact"}], "grid": {"network.width": [4, 8]}}


@pytest.fixture
def study(client) -> dict[str, Any]:
    answer = client.post("/api/studies", json=PLAIN)
    assert answer.status_code == 201, answer.text
    return answer.json()


def end_all(store, status="finished"):
    for run in store.active():
        run, _ = store.begin_attempt(run.id)
        store.report(WorkerReport(run.id, run.attempt, 0, status, error="broken\nTraceback"))


def test_a_study_is_started_with_its_runs(client, study, fake):
    assert (study["name"], study["status"]) == ("two methods", "running")
    runs = study["runs"]
    assert [(r["config"]["network"]["width"], r["config"]["seed"]) for r in runs] == [
        (4, 5), (4, 6), (8, 5), (8, 6),
    ]  # fmt: skip
    told = [told for told in fake.told if told[0] == "submit"]
    assert told == [("submit", run["id"]) for run in runs]
    shown = client.get(f"/api/studies/{study['id']}/results").json()
    assert (shown["phase"], shown["cells"], shown["ended"]) == ("report", 4, 0)
    assert [row["label"] for row in shown["results"]["table"]["rows"]] == [
        "exact, width 4", "exact, width 8",
    ]  # fmt: skip
    assert shown["results"]["table"]["columns"] == ["network.width"]


def test_variants_are_validated_and_not_cells(client, fake, monkeypatch):
    asked, honest = [], fake.validate

    def counted(configs):
        asked.append(len(configs))
        return honest(configs)

    monkeypatch.setattr(fake, "validate", counted)
    answer = client.post("/api/studies/validate", json={**PLAIN, "seeds": list(range(500))})
    assert answer.json() == {
        "name": "two methods", "variants": ["exact, width 4", "exact, width 8"], "cells": 1000,
    }  # fmt: skip
    assert asked == [2], "one question, with a configuration for each variant"
    assert client.get("/api/runs").json()["total"] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "nothing"}, "no metric 'nothing'"),
        ({"grid": {"steps": list(range(1, 1001)), "batch_size": list(range(1, 501))}},
         "the study has 1,000,000 runs; at most 10,000 are allowed"),
        ({"grid": {"estimator.name": ["backprop", "none"]}},
         "exact, name none: estimator.name: there is no estimator 'none'"),
        ({"format": 7}, "upgrade the lab"),
    ],
)  # fmt: skip
def test_a_study_that_is_not_valid_makes_no_run(client, changes, said):
    for path in ("/api/studies", "/api/studies/validate"):
        answer = client.post(path, json={**PLAIN, **changes})
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
    assert client.get("/api/studies").json() == []
    assert client.get("/api/runs").json()["total"] == 0


def test_a_memory_makes_the_batch_smaller_and_a_smaller_batch_buys_more_steps(
    client, fake, monkeypatch
):
    free = fake.validate
    monkeypatch.setattr(
        fake, "validate", lambda configs: [{**a, "cost": 3.0} for a in free(configs)]
    )
    base = {**PLAIN["base"], "batch_size": 64}
    document = {**PLAIN, "base": base, "grid": {"network.width": [4]}}
    budget = {"kind": "forwards", "amount": 300}

    def shown(**memory):
        answer = client.post("/api/studies", json={**document, "budget": {**budget, **memory}})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        results = client.get(f"/api/studies/{made['id']}/results").json()["results"]
        return made["runs"][0]["config"], results["table"]["rows"][0]["fields"]

    whole, _ = shown()
    assert (whole["batch_size"], whole["steps"]) == (64, 100)
    config, fields = shown(memory=1.5, fit="batch_size")
    assert (config["batch_size"], config["steps"]) == (24, 300 * 64 // (3 * 24))
    assert fields == {"network.width": 4, "batch_size": 24, "steps": 266}
    answer = client.post("/api/studies", json={
        **document, "budget": {"memory": 0.01, "fit": "batch_size"},
    })  # fmt: skip
    assert answer.status_code == 422
    assert answer.json()["detail"] == ("the run needs about 0.1 GiB")


def test_a_memory_alone_leaves_the_steps(client):
    document = {**PLAIN, "budget": {"memory": 1, "fit": "batch_size"}}
    made = client.post("/api/studies", json=document).json()
    assert {run["config"]["batch_size"] for run in made["runs"]} == {16}
    assert {run["config"]["steps"] for run in made["runs"]} == {PLAIN["base"]["steps"]}


def test_a_study_is_paused_resumed_cancelled_and_retried_as_one(client, study, store, fake):
    path = f"/api/studies/{study['id']}"
    assert client.post(f"{path}/pause").json()["status"] == "paused"
    assert {run.status for run in store.active()} == {"paused"}
    signalled = [told[1] for told in fake.told if told[0] == "signal"]
    assert signalled == [run["id"] for run in study["runs"]]
    assert client.post(f"{path}/resume").json()["status"] == "running"
    end_all(store, "failed")
    client.app.state.lab.studies.look()
    listed = client.get("/api/studies").json()
    assert [(s["status"], s["cells"], s["ended"], s["failed"]) for s in listed] == [
        ("finished", 4, 4, 4)
    ]
    failures = client.get(f"{path}/results").json()["results"]["failures"]
    assert {failure["reason"] for failure in failures} == {"broken"}
    refused = client.post(f"{path}/pause")
    assert (refused.status_code, refused.json()["detail"]) == (
        409, "the study 'two methods' is finished; only a running study can be paused",
    )  # fmt: skip
    assert client.post(f"{path}/retry").json()["failed"] == 0
    assert len(store.active()) == 4
    assert client.post(f"{path}/cancel").json()["status"] == "cancelled"
    assert store.active() == []


def test_the_text_of_a_file_is_a_study(client):
    text = yaml.safe_dump(PLAIN)
    assert client.post("/api/studies/validate", json={"text": text}).json()["cells"] == 4
    answer = client.post("/api/studies", json={"text": text})
    assert (answer.status_code, len(answer.json()["runs"])) == (201, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "the text is neither YAML nor JSON"),
        ("", "the text has nothing at its top level; a study is a mapping"),
        ("- 1", "the text has list at its top level; a study is a mapping"),
        ("text: nested", "base"),
    ],
)
def test_a_text_that_is_no_study_is_refused(client, text, said):
    for path in ("/api/studies", "/api/studies/validate"):
        answer = client.post(path, json={"text": text})
        assert answer.status_code == 422
        assert said in answer.json()["detail"]


def test_a_study_has_the_figures_that_show_something(client, study):
    of_study = f"/api/studies/{study['id']}"
    listed = client.get(f"{of_study}/results").json()["figures"]
    names = [each["name"] for each in listed]
    assert names == ["study_curve", "study_matrix", "study_verdicts"]
    for each in listed:
        drawn = client.get(f"{of_study}/figures/{each['name']}").json()
        assert drawn["figure"]["layout"]["title"]["text"].startswith(each["title"])
    document = {**PLAIN, "tuning": {"values": [0.1, 1], "seeds": [9]}}
    tuned = client.post("/api/studies", json=document).json()["id"]
    names = [each["name"] for each in client.get(f"/api/studies/{tuned}/results").json()["figures"]]
    assert "tuning_curve" in names
    curve = client.get(f"/api/studies/{tuned}/figures/tuning_curve").json()
    assert curve["figure"]["layout"]["title"]["text"].startswith("Tuning")
    unknown = client.get(f"{of_study}/figures/curve")
    assert unknown.status_code == 422
    assert "study_matrix" in str(unknown.json()["detail"])


def test_studies_are_found_by_name(client, study):
    client.post("/api/studies", json={**PLAIN, "name": "another"})
    names = [each["name"] for each in client.get("/api/studies").json()]
    assert names == ["another", "two methods"]
    (found,) = client.get("/api/studies", params={"name": "two methods"}).json()
    assert found["id"] == study["id"]
    assert client.get("/api/studies", params={"name": "two"}).json() == []


def test_the_document_of_a_study_is_that_of_its_file(client, study):
    shown = client.get(f"/api/studies/{study['id']}/results").json()
    again = client.post("/api/studies/validate", json=shown["document"])
    assert again.json()["cells"] == 4
    assert json.dumps(shown["document"]).count("two_moons") == 1


def test_configurations_and_seeds_are_a_study_too(client, config, store):
    grid = {"name": "grid", "configs": [config, {**config, "batch_size": 8}], "seeds": [1, 2]}
    made = client.post("/api/studies", json=grid).json()
    assert len(made["runs"]) == 4
    end_all(store, "failed")
    client.app.state.lab.studies.look()
    shown = client.get(f"/api/studies/{made['id']}/results").json()
    assert shown["status"] == "finished"
    labels = [row["label"] for row in shown["results"]["table"]["rows"]]
    assert labels == ["backprop", "backprop 2"]
    twice = client.post("/api/studies", json={**grid, "seeds": [1, 1]})
    assert twice.json()["detail"] == "seeds 1 comes twice; give each once"
    wrong = client.post("/api/studies", json={**grid, "seeds": [-1]})
    assert wrong.json()["detail"] == [
        {"loc": ["seeds", 0], "msg": "entry 1 of seeds is -1; it must be at least 0"}
    ]


def test_a_study_of_an_earlier_version_is_shown_and_its_runs_are_steered_alone(client, store):
    described = {"config": {"name": "old", "steps": 3, "device": "cpu"}, "labels": {"driver": "x"}}
    _, study_id = store.create_runs([described], "old")
    assert client.get(f"/api/studies/{study_id}").json()["status"] == "finished"
    for answer in (
        client.post(f"/api/studies/{study_id}/cancel"),
        client.get(f"/api/studies/{study_id}/results"),
    ):
        assert answer.status_code == 409
        assert "was made by an earlier version of the lab" in answer.json()["detail"]
