"""Drafts: what would run, as a document and as text, and how long it should take."""

import pytest


@pytest.fixture
def ask(client, config):
    """What the lab says of a draft: the configuration of the tests, with changes."""

    def question(chosen="", **changes):
        body = {"config": {**config, **changes}, "chosen": chosen}
        return client.post("/api/drafts", json=body).json()

    return question


def test_a_draft_of_one_run_is_what_is_posted(client, ask, config):
    found = ask()
    assert found["runs"] == 1
    assert found["varied"] == {}
    assert found["document"] == config
    assert found["problems"] == []
    assert "dataset: {name: digits}" in found["yaml"]
    read = client.post("/api/drafts/read", json={"text": found["yaml"]}).json()
    assert read == {"kind": "run", "config": config}
    assert client.post("/api/runs", json=found["document"]).status_code == 201


def test_several_values_are_a_study_that_reads_back(client, ask):
    found = ask(steps=[100, 200, 300], seed=[0, 1])
    assert found["runs"] == 6
    assert found["varied"] == {"steps": 3, "seed": 2}
    assert found["document"]["grid"] == {"steps": [100, 200, 300]}
    assert found["document"]["seeds"] == [0, 1]
    read = client.post("/api/drafts/read", json={"text": found["yaml"]}).json()
    assert read["config"]["steps"] == [100, 200, 300]
    assert read["config"]["seed"] == [0, 1]
    started = client.post("/api/studies", json=found["document"])
    assert started.status_code == 201, started.text


def test_what_follows_a_choice_is_in_the_document(ask):
    found = ask("dataset", dataset={"name": "surface"})
    assert found["changes"] == {"network": {"name": "point"}}
    assert found["said"] == ["Network is now Point."]
    assert found["document"]["network"] == {"name": "point"}


def test_a_study_of_another_kind_is_told_from_a_run(client):
    text = "{name: a, base: {}, methods: [{label: a}]}"
    read = client.post("/api/drafts/read", json={"text": text}).json()
    assert read == {"kind": "study", "config": None}
    refused = client.post("/api/drafts/read", json={"text": "[1, 2]"})
    assert refused.status_code == 422
    assert "is a mapping" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("values", "said"),
    [([], "empty list"), ([1, 1], "twice"), ([*range(1, 400)], "at most 256")],
)
def test_values_that_make_no_study_are_refused(ask, values, said):
    found = ask(steps=values)
    (problem,) = found["problems"]
    assert said in problem["msg"]
    assert found["runs"] == 0


def test_what_does_not_suit_is_asked_of_one_configuration(client, config):
    body = {"config": {**config, "dataset": {"name": "nowhere"}, "seed": [0, 1]}}
    assert client.post("/api/drafts/unsuited", json=body).json() == {
        "networks": {"mlp": "there are no data"}
    }


def test_a_check_without_an_answer_is_no_error(ask):
    found = ask(estimator={"name": "slow"})
    (problem,) = found["problems"]
    assert "could not check" in problem["msg"]
    assert found["seconds"] is None
