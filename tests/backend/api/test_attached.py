"""Runs of training loops of the user's own: they begin once, and are not the lab's to change."""

import pytest

ID, OTHER = "r0123456789abcdef", "rfedcba9876543210"
BODY = {
    "id": ID,
    "token": "a-token-that-the-loop-has-chosen-itself",
    "config": {"name": "mine", "network": {"name": "Net"}, "shadows": [{"name": "spsa"}]},
    "labels": ["spsa"],
}


@pytest.fixture
def attached(client):
    answer = client.post("/api/runs/attached", json=BODY)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def send(client, sequence=1, status="running", **more):
    body = {"run": ID, "attempt": 1, "sequence": sequence, "status": status, **more}
    headers = {"authorization": f"Bearer {BODY['token']}"}
    return client.post("/api/worker/report", json=body, headers=headers)


def test_it_is_a_running_run_that_takes_reports(client, attached, packed):
    progress = {"step": 3, "steps": 3, "rate": 1.5, "seconds": 2.0, "overhead": 0.04}
    answer = send(client, series=[packed("log/x", [0, 1, 2], [1, 2, 3])], progress=progress)
    assert answer.status_code == 200
    run = client.get(f"/api/runs/{ID}").json()
    shown = {name: run[name] for name in ("kind", "status", "step", "overhead", "silent", "eta")}
    assert shown == {
        "kind": "attached", "status": "running", "step": 3, "overhead": 0.04, "silent": None,
        "eta": None,
    }  # fmt: skip
    assert run["labels"] == {"driver": "", "shadows": ["spsa"]}
    assert client.get("/api/runs?kind=attached").json()["total"] == 1


def test_repeating_the_request_changes_nothing(client, attached, packed):
    send(client, series=[packed("log/x", [0], [1])])
    assert client.post("/api/runs/attached", json=BODY).json() == attached
    send(client, 2, "finished")
    assert client.post("/api/runs/attached", json=BODY).json() == attached
    assert client.get(f"/api/runs/{ID}").json()["status"] == "finished"
    assert client.get("/api/runs").json()["total"] == 1


def test_another_loop_cannot_have_the_id(client, attached):
    answer = client.post("/api/runs/attached", json={**BODY, "token": "x" * 40})
    assert answer.status_code == 409
    assert "is another run's" in answer.json()["detail"]


def test_a_deleted_run_does_not_come_back(client, attached):
    send(client, 1, "finished")
    assert client.delete(f"/api/runs/{ID}").status_code == 204
    answer = client.post("/api/runs/attached", json=BODY)
    assert answer.status_code == 409
    assert "was deleted" in answer.json()["detail"]


def test_the_token_is_good_for_its_own_run_alone(client, attached, stranger):
    client.post("/api/runs/attached", json={**BODY, "id": OTHER, "token": "y" * 40})
    body = {"run": OTHER, "attempt": 1, "sequence": 1, "status": "running"}
    headers = {"authorization": f"Bearer {BODY['token']}"}
    assert client.post("/api/worker/report", json=body, headers=headers).status_code == 403
    assert client.get("/api/runs", headers=headers).status_code == 401


def test_a_newer_protocol_is_refused_in_a_sentence(client):
    answer = client.post("/api/runs/attached", json={**BODY, "protocol": 2})
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem == {"loc": ["protocol"], "msg": "protocol is 2; it must be at most 1"}


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        (f"/api/runs/{ID}/fork", {}, "which has no checkpoint here"),
        ("/api/probes", {"run": ID}, "measure it in its script, with gradlab.measure"),
        (f"/api/runs/{ID}/change", {"lr": 0.1}, "change it in its script"),
        (f"/api/runs/{ID}/change", {"driver": {"name": "spsa"}}, "change it in its script"),
    ],
)
def test_what_needs_the_lab_s_own_training_is_refused(client, attached, path, body, sentence):
    answer = client.post(path, json=body)
    assert answer.status_code == 409
    assert sentence in answer.json()["detail"]


def test_orders_come_with_the_answers(client, attached):
    send(client, progress={"step": 7, "steps": 7})
    client.post(f"/api/runs/{ID}/pause")
    assert send(client, 2).json()["run_until"] == 7
    assert client.post(f"/api/runs/{ID}/step", json={"to": 9}).status_code == 200, "open-ended"
    assert send(client, 3).json()["run_until"] == 9
    client.post(f"/api/runs/{ID}/cancel")
    assert send(client, 4).json()["cancel"] is True


def test_a_step_past_the_end_that_the_loop_has_named_is_refused(client):
    body = {**BODY, "config": {**BODY["config"], "steps": 8}}
    client.post("/api/runs/attached", json=body)
    send(client, progress={"step": 7, "steps": 8})
    answer = client.post(f"/api/runs/{ID}/step", json={"to": 9})
    assert answer.status_code == 409
    assert "past the end" in answer.json()["detail"]


def test_a_loop_that_is_not_heard_of_is_silent(client, attached, store):
    store.update(ID, heard="2020-01-01T00:00:00.000Z")
    assert client.get(f"/api/runs/{ID}").json()["silent"] > 1e6
    send(client)
    assert client.get(f"/api/runs/{ID}").json()["silent"] is None


def test_findings_begin_with_the_first_estimator(client, attached):
    answer = client.get(f"/api/runs/{ID}/diagnosis")
    assert answer.json()["estimator"] == "spsa"
