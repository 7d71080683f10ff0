"""Forks, over HTTP."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from backend.jobs.run_folders import checkpoints, kept_checkpoint
from backend.training.checkpoints import format as written
from backend.training.checkpoints.files import path_of

TRAINER = {"module": {"w": torch.zeros(2)}, "lr": 0.25}


@pytest.fixture
def forked(client, app, run):
    """Asks for a fork of a run that has checkpoints of steps 0 and 40."""
    folder = checkpoints(app.state.lab.home.path, run)
    for step in (0, 40):
        written.write(folder, step, {"trainer": TRAINER})
    return lambda **body: client.post(f"/api/runs/{run}/fork", json=body)


def test_a_fork_keeps_the_checkpoint_and_says_where_it_comes_from(forked, app, run, fake):
    answer = forked(config={"estimator": {"name": "backprop"}, "steps": 200})
    assert answer.status_code == 201, answer.text
    child = answer.json()
    assert (child["parent"], child["parent_step"], child["kind"]) == (run, 40, "training")
    assert child["name"] == "fork of run 1 at step 40"
    assert (child["config"]["steps"], child["config"]["optimizer"]["lr"]) == (200, 0.25)
    assert path_of(kept_checkpoint(app.state.lab.home.path, child["id"]), 40).exists()
    assert ("submit", child["id"]) in fake.told


def test_single_fields_of_the_optimiser_change_and_a_switched_driver_is_kept(forked, app, run):
    members = [{"label": n, "estimator": {"name": n}} for n in ("backprop", "spsa")]
    state = {"trainer": {**TRAINER, "roles": {"members": members, "drives": [(0, "spsa")]}}}
    written.write(checkpoints(app.state.lab.home.path, run), 60, state)
    config = forked(config={"optimizer": {"lr": 0.5}, "epochs": 3}).json()["config"]
    assert config["optimizer"] == {"name": "sgd", "lr": 0.5}
    assert (config["estimator"], config["shadows"]) == ({"name": "backprop"}, [{"name": "spsa"}])
    assert (config["steps"], config["epochs"]) == (None, 3)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"config": {"network": {"name": "mlp"}}}, 422, "a fork keeps its parent's network"),
        ({"config": {"seed": 3}}, 422, "a fork keeps its parent's seed"),
        ({"config": {"step": 3}}, 422, "did you mean 'steps'?"),
        ({"config": {"estimator": {"name": "nobody"}}}, 422, "no estimator 'nobody'"),
        ({"config": {"steps": 40}}, 422, "the fork begins at step 40, and steps is 40"),
        ({"step": 7}, 404, "no checkpoint of step 7; it has 0, 40"),
        ({"stpe": 7}, 422, "stpe"),
    ],
)
def test_what_cannot_be_forked_is_refused_in_a_sentence(forked, client, body, status, said):
    answer = forked(**body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert client.get("/api/runs").json()["total"] == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: save_file({"w": np.zeros(2)}, path),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"x" * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
    ],
)
def test_a_damaged_checkpoint_is_refused_at_once(forked, client, app, run, spoil):
    path = path_of(checkpoints(app.state.lab.home.path, run), 40)
    spoil(path)
    size, total = path.stat().st_size, client.get("/api/runs").json()["total"]
    said = f"run 1: the checkpoint of step 40 is damaged or cut short ({size:,} bytes); take"
    for answer in (forked(), client.post("/api/probes", json={"run": run, "draws": 8})):
        assert (answer.status_code, answer.json()["detail"][: len(said)]) == (409, said)
    assert client.get("/api/runs").json()["total"] == total
    assert forked(step=0).status_code == 201
