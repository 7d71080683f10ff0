"""The gallery over HTTP: entries, a start that is not repeated, what was measured, and pictures."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from backend.api.routes import gallery
from backend.store.points import SeriesPoints
from backend.store.reports import ReportedProgress, WorkerReport

ENTRY = "rostami2024-averaged"
"""It compares losses, has no data set, and tunes nothing."""


@pytest.fixture
def any_estimator(fake, monkeypatch):
    """A lab that knows every estimator: these tests are not about the entry's configurations."""
    honest = fake.validate

    def validate(configs, kind="training"):
        answers = honest([{**c, "estimator": {"name": "backprop"}} for c in configs], kind)
        for answer, config in zip(answers, configs, strict=True):
            answer["config"]["estimator"] = config["estimator"]
        return answers

    monkeypatch.setattr(fake, "validate", validate)


@pytest.fixture
def started(client, any_estimator) -> dict[str, Any]:
    answer = client.post(f"/api/gallery/{ENTRY}/start", json={})
    assert answer.status_code == 201, answer.text
    return answer.json()


def end_all(store, losses=(0.25, 1.0, 0.5)):
    """End every run with a test loss that depends on its method."""
    methods = ["exact gradient", "forward gradient", "averaged forward gradient"]
    for run in store.active():
        run, _ = store.begin_attempt(run.id)
        loss = losses[methods.index(run.cell["variant"])]
        names = ("", "", "nats", np.array([2000]))
        series = [
            SeriesPoints(metric, *names, np.array([loss])) for metric in ("test/loss", "train/loss")
        ]
        facts = {"hardware": "cpu", "threads": 1, "versions": {"torch": "2.13.0"}}
        store.report(WorkerReport(run.id, run.attempt, 0, "finished", series, facts=facts))


def test_all_entries_are_listed_before_any_was_run(client):
    cards = client.get("/api/gallery").json()
    assert len(cards) > 20
    assert all(card["newest"] is None for card in cards)
    card = next(card for card in cards if card["name"] == "ren2022-mnist_s11")
    assert card["data"] == {
        "folder": "mnist", "title": "MNIST", "stand_in": "scikit-learn's digits", "present": False,
    }  # fmt: skip
    assert card["paper"]["citation"] == "Ren et al. (2022), arXiv:2210.03310"


def test_an_entry_that_was_not_run_has_its_words_and_no_numbers(client):
    entry = client.get("/api/gallery/ren2022-mnist_s11").json()
    assert (entry["study"], entry["studies"], entry["comparisons"]) == ("", [], [])
    assert entry["claim"]["read"] == "read in the paper"
    assert entry["differences"]["short"][0].startswith("The data are scikit-learn's digits")
    assert [figure["query"] for figure in entry["figures"] if figure["source"] == "runs"] == [
        {"runs": "", "metric": "validation/accuracy", "layer": ""}
    ]


def test_the_data_set_is_the_papers_own_where_it_is_here(
    client, settings, monkeypatch, any_estimator
):
    """The folder is that of the lab's own options, whatever the environment names."""
    monkeypatch.setenv("GRADLAB_HOME", "/nowhere")
    folder = settings.data_dir / "mnist"
    folder.mkdir(parents=True)
    stand_in = client.post("/api/gallery/bacho2022-rate/start", json={}).json()
    (folder / "train-00000-of-00001.parquet").touch()
    own = client.post("/api/gallery/bacho2022-rate/start", json={}).json()
    assert own["id"] != stand_in["id"], "the one on other data is another experiment"
    names = {
        study: client.get(f"/api/studies/{study}/results").json()["document"]["base"]["dataset"]
        for study in (stand_in["id"], own["id"])
    }
    assert names[stand_in["id"]] == {"name": "digits"}
    assert names[own["id"]]["name"] == "parquet_images"
    entry = client.get("/api/gallery/bacho2022-rate").json()
    assert [study["stand_in"] for study in entry["studies"]] == [False, True]


def test_a_start_is_not_repeated_while_the_study_goes_on(client, store, app, started):
    again = client.post(f"/api/gallery/{ENTRY}/start", json={"length": "short"}).json()
    assert again["id"] == started["id"]
    full = client.post(f"/api/gallery/{ENTRY}/start", json={"length": "full"}).json()
    assert full["id"] != started["id"]
    end_all(store)
    app.state.lab.studies.advance(started["id"])
    assert client.post(f"/api/gallery/{ENTRY}/start", json={}).json()["id"] != started["id"]


def test_starts_at_the_same_time_start_one_study(client, fake, any_estimator, monkeypatch):
    """Each start has looked for a study before the first one is stored, unless they take turns."""
    honest, waiting = fake.validate, threading.Barrier(2)

    def validate(configs, kind="training"):
        with suppress(threading.BrokenBarrierError):  # the other start waits for its turn
            waiting.wait(timeout=1)
        return honest(configs, kind)

    monkeypatch.setattr(fake, "validate", validate)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(client.post, f"/api/gallery/{ENTRY}/start", json={}) for _ in "ab"]
    assert len({answer.result().json()["id"] for answer in answers}) == 1


def test_what_was_measured_is_shown_with_its_runs(client, store, app, started):
    end_all(store)
    app.state.lab.studies.advance(started["id"])
    entry = client.get(f"/api/gallery/{ENTRY}").json()
    assert entry["study"] == started["id"]
    assert (entry["newest"]["status"], entry["newest"]["ended"]) == ("finished", 15)
    assert entry["made"]["versions"] == {"torch": "2.13.0"}
    assert (entry["made"]["runs"], entry["made"]["machine"]) == (15, "cpu, 1 thread a run")
    curve = next(figure for figure in entry["figures"] if figure["source"] == "runs")
    runs = curve["query"]["runs"].split(",")
    assert len(runs) == 9, "three seeds of each method"
    assert client.get(f"/api/figures/{curve['figure']}", params=curve["query"]).status_code == 200


def test_a_figure_shows_the_methods_that_the_entry_names(client, store, started):
    study = client.post("/api/gallery/geng2021-accuracy/start", json={}).json()["id"]
    runs = {run.id: run.cell["variant"] for run in store.active() if run.study == study}
    of_name = {
        f["figure"]: f for f in client.get("/api/gallery/geng2021-accuracy").json()["figures"]
    }
    assert {runs[run] for run in of_name["solver"]["query"]["runs"].split(",")} == {"exact"}
    assert {runs[run] for run in of_name["curve"]["query"]["runs"].split(",")} == {*runs.values()}


def test_published_figures_are_of_the_methods_that_the_study_has(client, started):
    start = client.post("/api/gallery/geng2021-times/start", json={})
    assert start.status_code == 201, start.text
    (comparison,) = client.get("/api/gallery/geng2021-times").json()["comparisons"]
    assert [(row["label"], row["published"], row["words"]) for row in comparison["rows"]] == [
        ("unrolled, k = 5, λ = 0.5", 0.59, "")
    ]
    assert comparison["read"] == "read in an abstract or another secondary text"


def test_the_picture_is_the_first_figure_once_there_is_a_result(
    client, store, app, started, monkeypatch
):
    path = f"/api/gallery/{ENTRY}/picture.svg"
    monkeypatch.setattr(gallery, "recorded_picture", {ENTRY: "<svg>recorded</svg>"}.get)
    assert client.get(path).text == "<svg>recorded</svg>"
    assert client.get("/api/gallery/baydin2022-beale/picture.svg").status_code == 204
    end_all(store)
    app.state.lab.studies.advance(started["id"])
    answer = client.get(path)
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.text.startswith("<svg xmlns")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/gallery/nothing", "the gallery has no entry 'nothing'; it has baydin2022-beale, "),
        (f"/api/gallery/{ENTRY}?study=ynone", f"{ENTRY} has no study 'ynone'"),
    ],
)
def test_what_there_is_not_is_named(client, path, said):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith(said)


def test_a_study_of_another_entry_is_not_shown(client, started):
    other = client.get("/api/gallery/baydin2022-beale", params={"study": started["id"]})
    assert other.status_code == 404


def test_an_unknown_length_is_refused(client):
    answer = client.post(f"/api/gallery/{ENTRY}/start", json={"length": "huge"})
    assert answer.status_code == 422


def test_a_configuration_that_the_lab_refuses_is_said_with_the_entry(client):
    answer = client.post(f"/api/gallery/{ENTRY}/start", json={})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{ENTRY} cannot be started: ")


def test_the_time_of_a_step_is_compared_without_any_probe(client, store, app, any_estimator):
    """Forward gradients take half the time of backpropagation here: a ratio of 0.5."""
    study = client.post("/api/gallery/baydin2022-depth/start", json={}).json()["id"]
    for run in store.active():
        run, _ = store.begin_attempt(run.id)
        seconds = 4.0 if run.cell["variant"].startswith("backprop") else 2.0
        # 30 s pass before the first point; evaluations and probes take further 50 s.
        names = ("train/seconds", "", "", "s")
        # So many points of each report that the store keeps them in a chunk of their own.
        steps = np.arange(140_001)
        clock = 30 + 1_400 * seconds * np.sqrt(steps / 140_000)
        first = [SeriesPoints(*names, steps[:70_000], clock[:70_000])]
        last = [SeriesPoints(*names, steps[70_000:], clock[70_000:])]
        done = ReportedProgress(step=140_000, steps=140_000, seconds=80 + 1_400 * seconds)
        store.report(WorkerReport(run.id, run.attempt, 0, "running", first))
        store.report(WorkerReport(run.id, run.attempt, 1, "finished", last, progress=done))
    app.state.lab.studies.advance(study)
    (comparison,) = client.get("/api/gallery/baydin2022-depth").json()["comparisons"]
    (row,) = comparison["rows"]
    assert (row["label"], row["seeds"]) == ("forward gradient, depth 2", 3)
    assert row["mean"] == pytest.approx(0.5)
    results = client.get(f"/api/studies/{study}/results", params={"by": "step_seconds"}).json()
    places = results["results"]["leaderboard"]["places"]
    assert places[0]["label"].startswith("forward gradient")
    assert places[0]["mean"] == pytest.approx(0.02)


def test_a_study_of_a_users_own_cannot_stand_beside_the_published_figures(client, any_estimator):
    document = {
        "name": "mine", "base": {"estimator": {"name": "backprop"}},
        "gallery": {"name": "ren2022-mnist_s11", "length": "full"},
    }  # fmt: skip
    answer = client.post("/api/studies", json=document)
    assert answer.status_code == 422
    assert "only the gallery gives it" in answer.json()["detail"]
    assert client.get("/api/gallery/ren2022-mnist_s11").json()["studies"] == []
