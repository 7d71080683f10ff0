"""Changing what drives a run, over HTTP."""

import pytest

CHANGED = "/api/runs/{}/change"


def answered(validate, labels):
    """A supervisor that takes any estimator of these names, labelled so."""

    def stand_in(configs):
        (config,) = configs
        name = config["estimator"].get("name")
        if name not in labels:
            return validate(configs)
        own = {"driver": labels[name], "shadows": []}
        return [{"config": config, "labels": own, "errors": []}]

    return stand_in


@pytest.fixture
def change(client, worker, fake):
    fake.validate = answered(fake.validate, {"spsa": "spsa(pairs=2)", "backprop": "backprop"})
    return lambda **body: client.post(CHANGED.format(worker.run), json=body)


def test_a_driver_is_ordered_once_and_told_by_the_worker(change, client, worker, fake):
    spsa = {"name": "spsa", "pairs": 2}
    assert change(driver=spsa, lr=0.5).status_code == 200
    assert change(driver="backprop").status_code == 200
    assert ("signal", worker.run) in fake.told
    orders = worker.send().json()["changes"]
    assert orders == [
        {"id": 1, "lr": 0.5, "driver": {"label": "spsa(pairs=2)", "estimator": spsa}},
        {"id": 2, "driver": {"label": "backprop"}},
    ]
    labels = {"driver": "spsa(pairs=2)", "shadows": ["backprop"]}
    worker.send(facts={"labels": labels})
    assert client.get(f"/api/runs/{worker.run}").json()["labels"] == labels
    worker.send(facts={"labels": {"driver": 7}})
    assert client.get(f"/api/runs/{worker.run}").json()["labels"] == labels


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "give lr, driver or both"),
        ({"driver": "spsa"}, 422, "no estimator 'spsa' of run 1; there are: backprop"),
        ({"driver": "backprop"}, 409, "driven by backprop already"),
        ({"driver": {"name": "backprop"}}, 409, "driven by backprop already"),
        ({"driver": {"name": "nobody"}}, 422, "there is no estimator 'nobody'"),
        ({"driver": {}}, 422, "name is missing"),
        ({"driver": 3}, 422, "driver is 3; it must be a label of the run or an estimator"),
        ({"drive": "backprop"}, 422, "drive"),
    ],
)
def test_what_cannot_drive_is_refused_in_a_sentence(change, body, status, said):
    answer = change(**body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


def test_a_problem_says_where_it_is(change):
    (problem,) = change(driver={"name": "nobody"}).json()["detail"]
    assert problem["loc"] == ["driver", "name"]


def test_no_more_estimators_than_a_probe_measures(change, fake, worker):
    fake.validate = answered(fake.validate, {f"e{i}": f"e{i}" for i in range(16)})
    for i in range(15):
        assert change(driver={"name": f"e{i}"}).status_code == 200
    full = change(driver={"name": "e15"})
    assert (full.status_code, "at most 16" in full.json()["detail"]) == (409, True)
    assert change(driver="e3").status_code == 200
