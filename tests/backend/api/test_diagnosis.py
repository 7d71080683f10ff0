"""What is read for a diagnosis, and what is refused."""

import numpy as np

from estimators.statistics.probes import MEASURES

WHY = "/api/runs/{}/diagnosis"
LAYERS = [
    {"name": "hidden.weight", "stage": "hidden", "coverage": "exact"},
    {"name": "hidden.bias", "stage": "hidden", "coverage": "no signal"},
]


def test_the_latest_probes_of_the_network_and_its_stages_are_asked_about(
    client, worker, fake, packed
):
    steps = np.arange(40) * 8
    series = [
        packed(m, steps, steps, layer=layer, estimator="" if m == "exact/norm" else "backprop")
        for m in MEASURES
        for layer in ("", "hidden", "hidden.weight")
    ]
    worker.send(*series, facts={"layers": LAYERS})
    answer = client.get(WHY.format(worker.run), params={"window": 3}).json()
    assert answer["findings"][0] == {"layer": "", "cause": "fine", "text": "sound", "draws": 1}
    assert (answer["estimator"], answer["probes"], answer["draws"]) == ("backprop", 3, 16)
    ((_, question),) = [told for told in fake.told if told[0] == "diagnose"]
    assert list(question["layers"]) == ["", "hidden"]
    assert question["layers"]["hidden"]["members"] == ["hidden.weight", "hidden.bias"]
    assert question["layers"][""]["probes"]["snr"] == [296, 304, 312]
    assert question["coverage"] == {"hidden.weight": "exact", "hidden.bias": "no signal"}


def test_it_reads_the_probes_that_scoreboard_and_findings_read(client, worker, fake, packed):
    steps = np.arange(40) * 8
    worker.send(
        *(packed(m, steps, steps, estimator="" if m == "exact/norm" else "backprop")
          for m in MEASURES),
        facts={"layers": LAYERS},
    )  # fmt: skip
    probes = client.get(WHY.format(worker.run)).json()["probes"]
    board = client.get(f"/api/runs/{worker.run}/scoreboard").json()
    assert probes == board["window"]


def test_without_probes_there_is_nothing_to_say(client, run):
    assert client.get(WHY.format(run)).json()["findings"] == []
    unknown = client.get(WHY.format(run), params={"estimator": "spsa"})
    assert (unknown.status_code, "there are: backprop" in unknown.text) == (422, True)
    assert client.get(WHY.format("nobody")).status_code == 404


def test_a_stage_opens_to_its_tensors(client, worker, fake, packed):
    steps = np.arange(4) * 8
    series = [
        packed(m, steps, steps, layer=layer, estimator="" if m == "exact/norm" else "backprop")
        for m in MEASURES
        for layer in ("", "hidden", "hidden.weight")
    ]
    worker.send(*series, facts={"layers": LAYERS})
    assert client.get(WHY.format(worker.run), params={"stage": "hidden"}).status_code == 200
    ((_, question),) = [told for told in fake.told if told[0] == "diagnose"]
    assert {k: one["members"] for k, one in question["layers"].items()} == {
        "hidden.weight": ["hidden.weight"]
    }
    answer = client.get(WHY.format(worker.run), params={"stage": "hiden"})
    assert (answer.status_code, "did you mean 'hidden'?" in answer.text) == (422, True)


def test_the_newest_anatomy_of_the_run_says_what_a_batch_would_do(
    client, worker, store, fake, packed, monkeypatch
):
    steps = np.arange(4) * 8
    series = [
        packed(m, steps, steps, layer="", estimator="" if m == "exact/norm" else "backprop")
        for m in MEASURES
    ]
    worker.send(*series, facts={"layers": LAYERS, "unbiased": {"backprop": True}})

    def asked():
        return client.get(WHY.format(worker.run)).json()

    def noisy(question):
        seen.append(question)
        return [{"layer": "", "cause": "variance", "text": "noisy", "draws": 9}]

    seen = []
    monkeypatch.setattr(fake, "diagnose", noisy)
    assert "known from a variance anatomy: press Microscope" in asked()["batch"]
    (look,), _ = store.create_runs(
        [
            {
                "kind": "microscope", "parent": worker.run, "parent_step": 24, "steps": 1,
                "config": {"batch_size": 32, "microscope": {"anatomy": {"batches": 4}}},
                "labels": {},
            }
        ]
    )  # fmt: skip
    parts = {"anatomy/estimator": 8.0, "anatomy/fixed": 2.0}
    told = [packed(m, [4], [v], layer="", estimator="backprop") for m, v in parts.items()]
    told.append(packed("anatomy/population", [0], [900], layer="", estimator=""))
    type(worker)(client, store, look.id).send(*told)
    assert f"by the variance anatomy of run {look.number}, at step 24" in asked()["batch"]
    assert seen[0]["anatomy"] is None
    of = {"": {"estimator": 8.0, "fixed": 2.0}}
    assert seen[-1]["anatomy"] == {"batch": 32, "layers": of, "population": 900}
    assert (seen[-1]["estimators"], seen[-1]["unbiased"]) == (1, True)


def test_findings_are_told_with_the_look_of_their_estimator(client, worker, packed):
    steps = np.arange(8) * 8
    slopes = {"along": -1.0, "relative_variance": 0.1, "exact/norm": 1.0, "norm_ratio": 1.0}
    series = [
        packed(
            name, steps, slopes.get(name, 0.001) * (1 + 1e-3 * np.sin(steps)),
            layer="", estimator="" if name == "exact/norm" else "backprop",
        )
        for name in (*MEASURES, "along")
    ]  # fmt: skip
    layers = [{"name": "hidden.weight", "stage": "hidden", "coverage": "estimated"}]
    worker.send(*series, facts={"layers": layers, "unbiased": {"backprop": True}})
    (finding,) = client.get(f"/api/runs/{worker.run}/findings").json()
    assert finding["title"] == "Backprop points uphill."
    assert (finding["severity"], finding["estimator"]) == (2, "backprop")
    assert finding["look"]["marker"] == "circle"
    assert set(finding["look"]["colour"]) == {"index", "light", "dark"}
    assert client.get("/api/runs/nobody/findings").status_code == 404
