"""`POST /api/probes`: a run of another kind, or a sentence on why not."""

import pytest

from backend.config import MicroscopeConfig
from backend.jobs.run_folders import checkpoints, kept_checkpoint
from backend.training.checkpoints import format as written
from backend.training.checkpoints.files import path_of

CONFIG = {
    "dataset": {"name": "digits"},
    "network": {"name": "mlp", "width": 8},
    "estimator": {"name": "backprop"},
    "shadows": [{"name": "backprop", "x": 1}],
    "steps": 100,
    "seed": 5,
    "probe": {"every": 10, "draws": 8},
}


@pytest.fixture
def parent(client, store, app) -> str:
    """A run with checkpoints of the steps 0, 40 and 80."""
    run = client.post("/api/runs", json=CONFIG).json()["id"]
    folder = checkpoints(app.state.lab.home.path, run)
    for step in (0, 40, 80):
        written.write(folder, step, {"weights of": step})
    return run


def asked(client, run, **body):
    return client.post("/api/probes", json={"run": run, **body})


def test_it_is_a_run_of_its_own_that_keeps_the_checkpoint(client, parent, app, fake):
    answer = asked(client, parent)
    assert answer.status_code == 201
    run = answer.json()
    told = {k: run[k] for k in ("kind", "parent", "parent_step", "status", "step", "steps", "name")}
    assert told == {
        "kind": "microscope", "parent": parent, "parent_step": 80, "status": "queued", "step": 0,
        "steps": 256, "name": "microscope, run 1 at step 80",
    }  # fmt: skip
    assert run["config"]["microscope"] == {
        "run": parent, "step": 80, "draws": 256, "seed": 0, "source": "honest", "sweep": None,
        "anatomy": None, "what_if": None, "adjoint_map": None, "plugins": {}, "fresh": [],
    }  # fmt: skip
    assert run["config"]["seed"] == 5
    assert run["config"]["shadows"] == CONFIG["shadows"]
    assert ("submit", run["id"]) in fake.told
    kept = kept_checkpoint(app.state.lab.home.path, run["id"])
    assert written.read(path_of(kept, 80)) == {"weights of": 80}
    assert client.get(f"/api/runs/{run['id']}/checkpoints").json() == [80]
    assert client.get(f"/api/runs/{parent}/checkpoints").json() == [0, 40, 80]
    assert client.get(f"/api/runs/{parent}").json()["kind"] == "training"


def test_what_is_asked_is_what_is_done(client, parent):
    sweep = {"field": "batch_size", "values": [64, 8, 16]}
    body = {"step": 0, "draws": 32, "seed": 9, "name": "mine", "estimators": [{"name": "backprop"}]}
    run = asked(client, "1", **body, sweep=sweep).json()
    of = run["config"]["microscope"]
    assert (of["step"], of["draws"], of["seed"]) == (0, 32, 9)
    assert of["sweep"]["values"] == [8, 16, 64]
    assert run["steps"] == 96
    assert (run["name"], run["config"]["shadows"]) == ("mine", [])


def test_draws_by_an_oracle_are_of_draws_and_sweeps_alone(client, parent):
    first = asked(client, parent, source="oracle").json()
    assert first["config"]["microscope"]["source"] == "oracle"
    sweep = {"field": "tangents", "values": [1, 2]}
    assert asked(client, parent, source="oracle", sweep=sweep).status_code == 201
    for name, look in (("anatomy", {"batches": 4}), ("what_if", {})):
        answer = asked(client, parent, source="oracle", **{name: look})
        (problem,) = answer.json()["detail"]
        assert problem["msg"].endswith(
            f"source is oracle and {name} is given; {name} takes honest draws alone; an oracle "
            "is possible for draws and sweeps"
        )
    (problem,) = asked(client, parent, source="law").json()["detail"]
    assert problem["msg"].endswith("'honest' or 'oracle'")


def test_an_adjoint_map_makes_its_own_estimators(client, parent):
    grid = {"steps": [5, 1], "damping": [0.5], "factors": [2, 1], "solvers": ["anderson"]}
    run = asked(client, parent, adjoint_map=grid).json()
    of = run["config"]["microscope"]
    assert of["adjoint_map"] == {**grid, "steps": [1, 5], "factors": [1.0, 2.0]}
    assert run["name"] == "adjoint map, run 1 at step 80"
    assert run["config"]["estimator"]["name"] == "implicit_adjoint"
    assert run["config"]["shadows"] == []
    # 2 factors × (2 × 2 + 3) gradients and 2 × 2 bounds; 6 + 1 rows, each once and 5 times.
    assert (of["draws"], run["steps"]) == (5, 2 * 7 + 2 * 2 + 7 * 6)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"adjoint_map": {"steps": [0]}}, "steps holds 0; whole numbers from 1 to 1000"),
        ({"adjoint_map": {"damping": [1.5]}}, "damping holds 1.5; numbers above 0 and at most 1"),
        ({"adjoint_map": {"factors": []}}, "factors is empty; at least one value is needed"),
        ({"adjoint_map": {"solvers": ["newton"]}}, "solvers holds 'newton'; fixed_point"),
        ({"adjoint_map": {"steps": list(range(1, 400))}}, "at most 2,000 are allowed"),
        ({"adjoint_map": {}, "estimators": [{"name": "backprop"}]}, "takes no estimators"),
        ({"adjoint_map": {}, "what_if": {}}, "what_if and adjoint_map are given"),
        ({"adjoint_map": {}, "source": "oracle"}, "adjoint_map takes honest draws alone"),
    ],
)
def test_an_adjoint_map_out_of_bounds_is_refused_in_one_sentence(client, parent, body, words):
    answer = asked(client, parent, **body)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert words in problem["msg"]


LISTS = {"steps": [0], "damping": [2], "factors": [-1], "solvers": ["foo"]}


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"adjoint_map": LISTS}, [["adjoint_map", name] for name in LISTS]),
        ({"adjoint_map": {"damping": ["a"]}}, [["adjoint_map", "damping", 0]]),
        ({"adjoint_map": {"steps": list(range(1, 400))}}, [["adjoint_map"]]),
        ({"what_if": {"rates": [0.1, 0.1]}}, [["what_if", "rates"]]),
        ({"sweep": {"field": "eps", "values": [1, 1]}}, [["sweep", "values"]]),
        ({"anatomy": {"batches": 1}}, [["anatomy", "batches"]]),
    ],
)
def test_a_refusal_has_the_place_of_the_field_that_it_is_about(client, parent, body, places):
    problems = asked(client, parent, **body).json()["detail"]
    assert [problem["loc"] for problem in problems] == places


def test_a_microscope_of_before_oracles_drew_honestly(client, parent, store):
    first = asked(client, parent).json()
    held = store.run(first["id"]).config
    before = {k: v for k, v in held["microscope"].items() if k != "source"}
    assert MicroscopeConfig.model_validate({**held, "microscope": before}).microscope.source == (
        "honest"
    )


def test_a_sweep_over_the_network_is_at_no_step(client, parent):
    sweep = {"field": "network.width", "values": [8, 16]}
    run = asked(client, parent, sweep=sweep).json()
    assert run["name"] == "network.width swept, run 1"
    assert run["parent_step"] == 80  # whose batch it is
    tangents = {"field": "tangents", "values": [1, 2]}
    assert asked(client, parent, sweep=tangents).json()["name"].endswith("run 1 at step 80")


CAME = {"name": "backprop", "new": True}


@pytest.fixture
def switched(parent, store, app) -> str:
    """The same, with another driver from step 60 on."""
    store.update(parent, changes=[{"id": 1, "driver": {"label": "new", "estimator": CAME}}])
    folder = checkpoints(app.state.lab.home.path, parent)
    members = [
        {"label": label, "estimator": one}
        for label, one in [("new", CAME), ("backprop", CONFIG["estimator"])]
    ]
    for step, more in ((40, {}), (80, {"roles": {"members": members}})):
        path_of(folder, step).unlink()
        written.write(folder, step, {"trainer": {"module": {}, "lr": 0.1, **more}})
    return parent


@pytest.mark.parametrize(
    ("step", "driver", "shadows"),
    [(None, CAME, [CONFIG["estimator"]]), (40, CONFIG["estimator"], CONFIG["shadows"])],
)
def test_it_looks_at_those_that_drove_and_were_watched_at_that_step(
    client, switched, step, driver, shadows
):
    held = asked(client, switched, step=step).json()
    assert (held["config"]["estimator"], held["config"]["shadows"]) == (driver, shadows)
    query = {"step": step} if step else {}
    told = client.get(f"/api/runs/{switched}/estimators", params=query).json()
    assert told == [driver, *shadows]
    again = asked(client, held["id"]).json()
    assert again["config"]["estimator"] == driver, "a microscope's own are looked at again"


def test_a_checkpoint_that_cannot_be_read_is_told(client, switched):
    answer = asked(client, switched, step=0)
    assert (answer.status_code, client.get("/api/runs").json()["total"]) == (409, 1)
    assert "checkpoint of step 0 is damaged or cut short" in answer.json()["detail"]


def test_a_look_from_a_microscope_is_named_after_the_run_that_was_trained(client, parent):
    first = asked(client, parent, step=40).json()
    other = asked(client, first["id"], what_if={}).json()
    assert (first["number"], other["name"]) == (2, "what-if step, run 1 at step 40")


def test_drawn_anew_where_the_parent_is_gone(client, parent, store):
    first = asked(client, parent, step=40).json()
    store.end(parent, "cancelled")
    assert client.delete(f"/api/runs/{parent}").status_code == 204
    again = asked(client, first["id"], seed=1).json()
    assert (again["parent"], again["parent_step"]) == (parent, 40)
    assert again["name"] == first["name"]
    assert again["config"]["microscope"] == {**first["config"]["microscope"], "seed": 1}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"run": "nope"}, 404, "there is no run 'nope'"),
        ({"run": "77"}, 404, "there is no run 77"),
        ({"step": 41}, 404, "run 1 has no checkpoint of step 41; it has 0, 40, 80"),
        ({"draws": 1}, 422, "one draw has no variance; give at least 2"),
        ({"draws": 100_001}, 422, "draws is 100,001; it must be at most 100,000"),
        ({"draws": 2.5}, 422, "draws is 2.5; it must be a whole number"),
        ({"step": -1}, 422, "step is -1; it must be at least 0"),
        ({"seed": 2**31}, 422, "seed is 2,147,483,648; it must be less than 2,147,483,648"),
        ({"estimators": []}, 422, "estimators"),
        ({"estimators": [{"name": "nope"}]}, 422, "there is no estimator 'nope'"),
        ({"estimators": [{"name": "slow"}]}, 503, "the inspector did not answer in 20 s"),
        ({"sweep": {"field": "eps", "values": [1]}}, 422, "values"),
        ({"sweep": {"field": "eps", "values": [1, 1]}}, 422, "a value comes twice"),
        ({"sweep": {"field": "eps", "values": [1, {"a": 1}]}}, 422, "values"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
def test_a_refusal_says_what_is_allowed(body, status, said, client, parent, app):
    before = client.get("/api/runs").json()["total"]
    answer = asked(client, **{"run": parent, **body})
    assert answer.status_code == status
    assert said in str(answer.json()["detail"])
    assert client.get("/api/runs").json()["total"] == before
    folders = [one.name for one in app.state.lab.home.run_dir(parent).parent.iterdir()]
    assert folders == [parent]


def test_a_run_that_has_not_started_has_nothing_to_look_at(client, run):
    answer = asked(client, run)
    assert answer.status_code == 409
    said = "run 1 has no checkpoint; it writes the first as soon as it starts"
    assert answer.json()["detail"] == said
    assert client.get(f"/api/runs/{run}/checkpoints").json() == []


def test_runs_can_be_listed_by_kind_and_parent(client, parent, run):
    seen = asked(client, parent).json()["id"]

    def listed(**query):
        return {one["id"] for one in client.get("/api/runs", params=query).json()["runs"]}

    assert listed() == {parent, run, seen}
    assert listed(kind="microscope") == listed(parent=parent) == {seen}
    assert listed(kind="training") == {parent, run}
    assert listed(kind="microscope", parent=run) == set()


def test_training_cannot_be_asked_for_with_a_microscope(client):
    answer = client.post("/api/runs", json={**CONFIG, "microscope": {"run": "r1", "step": 0}})
    assert answer.status_code == 422
