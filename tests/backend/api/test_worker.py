"""Reports: once each, of the current attempt, of one's own run."""

import base64
import json
import sqlite3

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from backend.jobs.report_decoding import decode, store_unsent_reports
from backend.jobs.run_folders import outbox


def values(client, run: str) -> list:
    (series,) = client.get(f"/api/runs/{run}/series").json()
    return client.get(f"/api/runs/{run}/points?series={series['id']}").json()["values"]


def test_points_arrive_whole_and_in_order(client, worker, packed, fake):
    worker.send(packed("cosine", [1, 2], [0.5, 0.25], layer="hidden1", estimator="fg", unit="1"))
    worker.send(packed("cosine", [5], [-1.0], layer="hidden1", estimator="fg"))
    (series,) = client.get(f"/api/runs/{worker.run}/series").json()
    assert {**series, "id": 0} == {
        "id": 0, "metric": "cosine", "layer": "hidden1", "estimator": "fg", "unit": "1", "count": 3,
    }  # fmt: skip
    points = client.get(f"/api/runs/{worker.run}/points?series={series['id']}").json()
    assert points == {"steps": [1, 2, 5], "values": [0.5, 0.25, -1.0], "count": 3, "shown": 3}
    assert ("reported", worker.run, 1, "running") in fake.told


def test_what_is_not_finite_survives(client, worker, packed):
    worker.send(packed("train/loss", range(4), [np.nan, np.inf, -np.inf, 1.5]))
    assert values(client, worker.run) == ["NaN", "Infinity", "-Infinity", 1.5]


def test_a_report_is_stored_once(client, worker, packed, fake):
    first = packed("train/loss", [1, 2], [3.0, 2.0])
    answers = [worker.send(first, sequence=0) for _ in range(3)]
    assert [a.status_code for a in answers] == [200] * 3
    assert answers[0].json() == answers[2].json()
    assert values(client, worker.run) == [3.0, 2.0]
    assert fake.told.count(("reported", worker.run, 1, "running")) == 1


def test_the_last_report_may_be_repeated_too(worker):
    assert worker.send(status="finished", sequence=9).status_code == 200
    assert worker.send(status="finished", sequence=9).status_code == 200
    late = worker.send(sequence=10)
    assert (late.status_code, "takes no more reports" in late.json()["detail"]) == (409, True)


def test_a_new_attempt_cuts_and_an_older_one_is_refused(client, worker, attempt, packed):
    worker.send(packed("train/loss", range(10), np.arange(10.0)))
    second = attempt(6)
    late = worker.send(packed("train/loss", [10], [99.0]))
    assert late.status_code == 409
    assert "at attempt 2; this report is of 1" in late.json()["detail"]
    assert values(client, worker.run) == [0, 1, 2, 3, 4, 5]
    second.send(packed("train/loss", [6, 7], [60.0, 70.0]))
    assert values(client, worker.run) == [0, 1, 2, 3, 4, 5, 60, 70]


def test_a_refused_report_leaves_nothing(client, worker, packed):
    worker.send(packed("train/loss", [1], [1.0]))
    bad = worker.send(packed("train/loss", [2], [2.0]), packed("train/loss", [5, 4], [0, 0]))
    assert (bad.status_code, "must not decrease" in bad.json()["detail"]) == (422, True)
    assert values(client, worker.run) == [1.0]
    assert worker.send(packed("train/loss", [2], [2.0]), sequence=1).status_code == 200
    assert values(client, worker.run) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("steps", "data"),
    [
        ("AAAA", "AAAA"),
        ("not base64!", ""),
        (base64.b64encode(b"\0" * 16).decode(), base64.b64encode(b"\0" * 8).decode()),
        ("", ""),
        (base64.b64encode(b"\xff" * 8).decode(), base64.b64encode(b"\0" * 8).decode()),
    ],
)
def test_points_that_are_none(worker, steps, data):
    answer = worker.send({"metric": "train/loss", "steps": steps, "values": data})
    assert (answer.status_code, "the points are not valid" in answer.json()["detail"]) == (
        422,
        True,
    )


def test_a_token_is_good_for_one_run_alone(client, worker, config, store):
    other = client.post("/api/runs", json=config).json()["id"]
    store.begin_attempt(other)
    answer = client.post(
        "/api/worker/report",
        json={"run": other, "attempt": 1, "sequence": 0, "status": "finished"},
        headers={"authorization": f"Bearer {worker.token}"},
    )
    assert answer.status_code == 403
    assert client.get(f"/api/runs/{other}").json()["status"] == "running"


def test_the_labs_token_is_no_runs_token_nor_the_reverse(client, worker):
    body = {"run": worker.run, "attempt": 1, "sequence": 0, "status": "finished"}
    assert client.post("/api/worker/report", json=body).status_code == 401
    mine = {"authorization": f"Bearer {worker.token}"}
    assert client.get("/api/runs", headers=mine).status_code == 401


def test_progress_facts_and_events(client, worker):
    worker.send(
        progress={"step": 20, "steps": 100, "rate": 40.0, "seconds": 0.5},
        facts={"device": "cpu", "layers": []},
        events=[{"step": 20, "kind": "checkpoint", "text": "<b>saved</b>"}],
    )
    run = client.get(f"/api/runs/{worker.run}").json()
    assert (run["step"], run["rate"], run["eta"], run["device"]) == (20, 40.0, 2.0, "cpu")
    (event,) = client.get(f"/api/runs/{worker.run}/events").json()
    assert (event["step"], event["kind"], event["text"]) == (20, "checkpoint", "<b>saved</b>")
    worker.send(status="failed", error="Traceback: boom")
    run = client.get(f"/api/runs/{worker.run}").json()
    assert (run["status"], run["error"], run["eta"]) == ("failed", "Traceback: boom", None)


def test_a_run_holds_what_a_chart_marks_on_its_axis(client, worker, store, attempt):
    worker.send(events=[{"step": 1, "kind": "paused", "text": "paused at step 1"}])
    store.log(worker.run, "death", "attempt 1: killed by SIGKILL (9)", step=7)
    attempt(4)
    marked = [(7, "death", "attempt 1: killed by SIGKILL (9)"),
              (4, "attempt", "attempt 2 goes on from step 4")]  # fmt: skip
    page = client.get("/api/runs").json()["runs"]
    for run in (client.get(f"/api/runs/{worker.run}").json(), *page):
        assert [(e["step"], e["kind"], e["text"]) for e in run["events"]] == marked
        assert all(e["at"].endswith("Z") for e in run["events"])


def test_a_run_holds_its_newest_events_cut_short(client, worker, run, config):
    worker.send(events=[{"step": n, "kind": "change", "text": "x" * 900} for n in range(60)])
    other = client.post("/api/runs", json=config).json()
    assert other["events"] == []
    events = client.get(f"/api/runs/{run}").json()["events"]
    assert [e["step"] for e in events] == list(range(10, 60))
    assert {len(e["text"]) for e in events} == {500}


def test_a_worker_that_stopped_is_queued_again(client, worker, attempt):
    worker.send(status="stopped", progress={"step": 7, "steps": 100})
    assert client.get(f"/api/runs/{worker.run}").json()["status"] == "queued"
    assert attempt(7).attempt == 2


def test_a_paused_worker_that_stopped_leaves_its_run_paused(client, worker):
    run = f"/api/runs/{worker.run}"
    worker.send(progress={"step": 7, "steps": 100})
    client.post(f"{run}/pause")
    worker.send(status="paused", progress={"step": 7, "steps": 100})
    assert client.get(run).json()["set_aside"] is False
    worker.send(status="stopped")
    seen = client.get(run).json()
    assert (seen["status"], seen["set_aside"]) == ("paused", True)
    seen = client.post(f"{run}/step", json={"to": 9}).json()
    assert (seen["status"], seen["set_aside"], seen["run_until"]) == ("queued", False, 9)


def test_a_series_of_another_run_is_not_this_ones(client, worker, packed, config):
    worker.send(packed("train/loss", [1], [1.0]))
    (series,) = client.get(f"/api/runs/{worker.run}/series").json()
    other = client.post("/api/runs", json=config).json()["id"]
    assert client.get(f"/api/runs/{other}/points?series={series['id']}").status_code == 404
    assert client.get(f"/api/runs/{other}/points?series=999").status_code == 404


def test_points_are_capped_and_say_so(client, worker, packed):
    worker.send(packed("train/loss", range(50_000), np.sin(np.arange(50_000) / 9)))
    (series,) = client.get(f"/api/runs/{worker.run}/series").json()
    path = f"/api/runs/{worker.run}/points?series={series['id']}"
    points = client.get(f"{path}&max=500").json()
    assert points["count"] == 50_000
    assert points["shown"] == len(points["steps"]) <= 500
    assert (points["steps"][0], points["steps"][-1]) == (0, 49_999)
    assert client.get(f"{path}&first=10&last=12").json()["steps"] == [10, 11, 12]
    assert client.get(f"{path}&max=20001").status_code == 422


def test_a_worker_is_heard_though_the_disk_is_full(worker, store, fake, monkeypatch):
    def full(_report):
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(store, "report", full)
    answer = worker.send()
    assert (answer.status_code, "disk is full" in answer.json()["detail"]) == (503, True)
    assert ("reported", worker.run, 1, "running") in fake.told


PACKED = {
    "metric": "train/loss",
    "steps": base64.b64encode(np.arange(3, dtype="<i8").tobytes()).decode(),
    "values": base64.b64encode(np.array([1.0, np.nan, 2.0], "<f8").tobytes()).decode(),
}
WHOLE = {
    "series": [{**PACKED, "unit": "nats"}, {**PACKED, "metric": "cosine", "layer": "l"}],
    "progress": {"step": 3, "steps": 100, "rate": 2.5, "seconds": 1.0},
    "events": [{"step": 3, "kind": "change", "text": "learning rate changed"}],
    "facts": {"device": "cpu", "labels": {"driver": "backprop", "shadows": []}},
    "error": None,
}


def steps_of(*steps):
    return base64.b64encode(np.array(steps, "<i8").tobytes()).decode()


def body_of(run, **changes):
    report = {"run": run, "attempt": 1, "sequence": 7, "status": "running", **WHOLE, **changes}
    return json.dumps(report).encode()


def stored(store, run):
    """Everything that the database has of a run, but for the times."""
    row = store.run(run).model_dump(exclude={"heard", "finished"})
    points = [(s, store.points(s.id)) for s in store.series(run)]
    events = [(e.step, e.kind, e.text) for e in store.events(run)]
    curves = [
        ((s.metric, s.layer, s.estimator, s.unit), p.steps.tobytes(), p.values.tobytes())
        for s, p in points
    ]
    return row, curves, events


def send(worker, body):
    headers = {"authorization": f"Bearer {worker.token}", "content-type": "application/json"}
    return worker.client.post("/api/worker/report", content=body, headers=headers)


def leave(store, tmp_path, body, name="left"):
    """Store the body as one that a worker left when it died."""
    folder = tmp_path / name
    folder.mkdir()
    outbox(folder, 1).write_bytes(body + b"\n")
    store_unsent_reports(store, folder, 1)
    return outbox(folder, 1)


@pytest.mark.parametrize("changes", [{}, {"status": "stopped"}, {"status": "failed", "error": "x"}])
def test_a_report_is_decoded_alike_by_http_and_from_an_outbox(
    changes, worker, store, client, tmp_path, monkeypatch
):
    taken, report = [], store.report
    monkeypatch.setattr(store, "report", lambda one: taken.append(one) or report(one))
    body = body_of(worker.run, **changes)
    assert send(worker, body).status_code == 200
    by_http = stored(store, worker.run)
    client.post(f"/api/runs/{worker.run}/cancel")
    # The same bytes again, from the outbox: the sequence is known, so nothing is stored twice.
    assert not leave(store, tmp_path, body).exists()
    assert len(by_http[1]) == 2
    assert [vars(one) | {"series": None} for one in taken[:1]] == [
        vars(one) | {"series": None} for one in taken[1:]
    ]
    first, second = ([vars(s) | plain(s) for s in one.series] for one in taken)
    assert first == second


def plain(series):
    return {"steps": series.steps.tolist(), "values": series.values.tobytes()}


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "elsewhere"},
        {"attempt": 0},
        {"sequence": "first"},
        {"stranger": 1},
        {"series": [{**PACKED, "steps": "not base64!"}]},
        {"series": [{**PACKED, "values": "AAAA"}]},
        {"series": [{**PACKED, "steps": base64.b64encode(b"\xff" * 24).decode()}]},
        {"series": [{**PACKED, "metric": ""}]},
        {"series": [{**PACKED, "values": base64.b64encode(b"\0" * 8).decode()}]},
        {"progress": {"step": -1, "steps": 100}},
        {"progress": {"step": 5, "steps": 3}},
        {"progress": {"step": 1, "steps": 2**62}},
        {"progress": {"step": 10**400, "steps": 10**401}},
        {"progress": {"step": 1, "steps": 100, "seconds": 10**400}},
        {"sequence": 10**400},
        {"attempt": 2**62},
        {"events": [{"step": 2**62, "kind": "change", "text": "x"}]},
        {"series": [{**PACKED, "steps": steps_of(1, 2, 2**62)}]},
        {"series": [{**PACKED, "steps": steps_of(1, 2)}]},
        {"progress": {"step": 1, "steps": 100, "rate": float("nan")}},
        {"events": [{"kind": "", "text": "x"}]},
        {"facts": {"layers": "x" * 300_000}},
        {"facts": {"loss": float("inf")}},
        {"error": "\ud800"},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_malformed_report_is_refused_alike_by_http_and_from_an_outbox(
    changes, worker, store, tmp_path, caplog
):
    body, before = body_of(worker.run, **changes), stored(store, worker.run)
    assert send(worker, body).status_code == 422
    assert stored(store, worker.run) == before
    kept = leave(store, tmp_path, body)
    assert stored(store, worker.run) == before
    assert kept.read_bytes() == body + b"\n", "it is left for a person to look at"
    assert "could not be stored" in caplog.text


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ({"steps": "not base64!"}, "the steps of 'train/loss' cannot be read; they are numbers"),
        ({"values": "AAAA"}, "the values of 'train/loss' cannot be read; they are numbers of 8"),
        ({"steps": steps_of(1, 2)}, "'train/loss' has 2 steps and 3 values"),
        ({"steps": steps_of(1, 2, 2**62)}, "is 4,611,686,018,427,387,904; steps are from 0 to 9,"),
        ({"steps": steps_of(-1, 2, 3)}, "a step of 'train/loss' is -1; steps are from 0 to"),
    ],
)  # fmt: skip
def test_a_refused_point_is_explained_to_people(series, said, worker):
    detail = str(send(worker, body_of(worker.run, series=[{**PACKED, **series}])).json()["detail"])
    assert said in detail
    for word in ("codec", "padding", "buffer", "utf"):
        assert word not in detail.lower()


def test_progress_past_the_end_is_explained(worker):
    answer = send(worker, body_of(worker.run, progress={"step": 5, "steps": 3}))
    assert "step is 5 of 3; it must be at most that" in str(answer.json()["detail"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"run": NaN}', b"\xff"])
def test_what_is_no_json_is_refused_alike(body, worker):
    assert send(worker, body).status_code == 422
    with pytest.raises(ValueError):  # noqa: PT011, each has its own words
        decode(body)
