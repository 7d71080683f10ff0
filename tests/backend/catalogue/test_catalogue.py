"""The catalogue, and what is said of configurations that cannot run."""

import json

import jsonschema
import psutil
import pytest

from backend.catalogue import catalogue, validate
from backend.config import RunConfig

LISTS = ("estimators", "networks", "datasets", "optimizers", "schedules")


@pytest.fixture(scope="module")
def found():
    return catalogue()


@pytest.fixture
def check(found):
    """Validate the greeting with changes: the answer, and its sentences by place."""

    def run(plugin_dirs=(), **changes):
        answer = validate({**found["greeting"], **changes}, plugin_dirs)
        return answer, {tuple(e["loc"]): e["msg"] for e in answer["errors"]}

    return run


def test_it_is_json_and_says_all_that_the_page_needs(found):
    assert json.loads(json.dumps(found)) == found
    assert found["failures"] == []
    for entry in (entry for kind in LISTS for entry in found[kind]):
        assert entry["title"]
        assert entry["summary"]
        assert entry["source"]["kind"] == "builtin"
        assert len(entry["source"]["hash"]) == 64
        jsonschema.Draft202012Validator.check_schema(entry["schema"])
        for name, field in entry["schema"]["properties"].items():
            assert field["description"], f"{entry['name']}.{name} has no help"
            assert {"title", "default"} <= field.keys()


def test_components_are_called_what_the_field_calls_them(found, plugins):
    titles = {entry["name"]: entry["title"] for kind in LISTS for entry in found[kind]}
    called = {
        "forward_gradient": "Forward gradient", "kolen_pollack": "Kolen–Pollack", "mezo": "MeZO",
        "sign_of": "Sign of the gradient", "dkp": "Direct Kolen–Pollack (DKP)", "cnn": "CNN",
        "local_mixer": "LocalMixer", "resnet": "ResNet", "two_moons": "Two moons", "adamw": "AdamW",
    }  # fmt: skip
    assert {name: titles[name] for name in called} == called
    file = plugins[0] / "drifting.py"  # a plug-in's field of that name is a field
    file.write_text(
        file.read_text().replace("    breaks_at", '    title: str = "x"\n    breaks_at')
    )
    (own,) = (e for e in catalogue(plugins)["estimators"] if e["name"] == "drifting")
    assert own["title"] == "Drifting"


def test_how_often_probes_come_is_said_in_the_form(found):
    probe = found["config"]["$defs"]["Probe"]["properties"]
    assert (probe["budget"]["title"], probe["every"]["title"]) == ("Time budget", "Probe every")
    assert "a run of a few seconds has few" in probe["budget"]["description"]
    assert [one.get("minimum") for one in probe["every"]["anyOf"]] == [1, None]


def test_estimators_say_what_they_claim_and_need(found):
    claims = {entry["name"]: entry["claim"] for entry in found["estimators"]}
    assert claims["backprop"] == "exact"
    assert claims["activity_forward_gradient"] == "unbiased"
    assert claims["direct_feedback_alignment"] == "biased"
    assert claims["forward_gradient"] == "depends"  # on its scale
    needs = {e["name"]: [need["name"] for need in e["needs"]] for e in found["estimators"]}
    assert "sites" in needs["activity_forward_gradient"]


def test_fields_say_with_which_choices_they_are_used(found):
    components = [entry for kind in LISTS for entry in found[kind]]
    schemas = {entry["name"]: entry["schema"]["properties"] for entry in components}
    guess = schemas["guess_and_target"]
    assert guess["guesser"]["used_if"] == [{"guess": ["estimator"]}]
    assert guess["auxiliary_width"]["used_if"][-1] == {"auxiliary": ["mlp", "cnn"]}
    assert "used_if" not in guess["unit"]
    # A name or a value that does not exist would hide a field for ever.
    for fields in schemas.values():
        conditions = [each for field in fields.values() for each in field.get("used_if", [])]
        for name, values in (pair for condition in conditions for pair in condition.items()):
            assert set(values) <= set(fields[name]["enum"]), name


def test_bounds_units_and_nested_components_are_in_the_schema(found):
    networks = {entry["name"]: entry["schema"]["properties"] for entry in found["networks"]}
    width = networks["mlp"]["width"]
    assert (width["minimum"], width["maximum"], width["unit"]) == (1, 16_384, "units")
    sgd = next(e for e in found["optimizers"] if e["name"] == "sgd")["schema"]["properties"]
    assert sgd["schedule"]["component"] == "schedules"
    assert sgd["schedule"]["default"] == {"name": "constant", "warmup": 0}


def test_the_greeting_runs_as_it_is(found, check):
    answer, errors = check()
    assert not errors
    assert answer["config"] == found["greeting"]
    assert RunConfig.model_validate(answer["config"]).steps == 20_000
    assert answer["labels"] == {
        "driver": "forward_gradient",
        "shadows": ["activity_forward_gradient", "direct_feedback_alignment"],
    }


def test_defaults_are_written_out(check):
    answer, _ = check(optimizer={"name": "sgd"}, shadows=[{"name": "forward_gradient"}] * 2)
    assert answer["config"]["optimizer"] == {
        "name": "sgd",
        "lr": 0.01,
        "momentum": 0.0,
        "nesterov": False,
        "weight_decay": 0.0,
        "schedule": {"name": "constant", "warmup": 0},
        "rates": "",
    }
    assert answer["labels"]["shadows"] == ["forward_gradient #2", "forward_gradient #3"]


POINT = {"dataset": {"name": "surface"}, "network": {"name": "point"}, "shadows": []}
EACH = {"name": "forward_gradient", "per": "example"}
REFUSED = [
    (
        {"estimator": {"name": "foreward_gradient"}},
        ("estimator", "name"),
        ["no estimator 'foreward_gradient'; did you mean 'forward_gradient'?"],
    ),
    (
        {"estimator": {"name": "forward_gradient", "tangets": 2}},
        ("estimator", "tangets"),
        ["no field 'tangets' of forward_gradient; did you mean 'tangents'?"],
    ),
    (
        {"estimator": {"name": "forward_gradient", "tangents": 0}},
        ("estimator", "tangents"),
        ["tangents is 0; it must be at least 1"],
    ),
    (
        {"network": {"name": "mlp", "width": -3}},
        ("network", "width"),
        ["width is -3; it must be at least 1"],
    ),
    (
        {"network": {"name": "mlp", "activation": "sig"}},
        ("network", "activation"),
        ["activation is 'sig'; it must be one of 'relu', 'tanh' or 'gelu'"],
    ),
    (
        {"network": {"name": "mlp", "width": 16_384, "depth": 64}},
        ("network",),
        ["16,913,694,730 parameters; at most 500,000,000 are allowed"],
    ),
    (
        {"network": {"name": "local_mixer", "channels": 30, "groups": 4}},
        ("network", "groups"),
        ["groups is 4; 30 channels fall into equal groups", "1, 2, 3, 5"],
    ),
    (
        {
            "network": {"name": "mlp", "width": 4, "depth": 1},
            "estimator": {"name": "forward_gradient", "tangents": 4000, "combine": "orthogonal"},
        },
        ("estimator", "tangents"),
        ["tangents is 4000, and the network has 310 parameters"],
    ),
    (
        {"estimator": {"name": "activity_forward_gradient", "unit": "channel"}},
        ("estimator", "unit"),
        ["unit is 'channel', and no site of this network has an axis 'channel'"],
    ),
    (
        {"network": {"name": "cnn"}, "dataset": {"name": "two_moons"}},
        ("network",),
        [
            "a cnn needs images (channels × height × width)",
            "has shape (2,); networks that take it: implicit_mlp, mlp, point",
        ],
    ),
    (
        {**POINT, "estimator": {"name": "activity_forward_gradient"}},
        ("estimator", "name"),
        ["put Site() before each non-linearity; networks that serve it by default: implicit_mlp"],
    ),
    (
        {**POINT, "estimator": {"name": "kolen_pollack"}},
        ("estimator", "name"),
        ["nothing to send a signal through; networks that serve it by default: implicit_mlp, mlp"],
    ),
    (
        {
            "network": {"name": "cnn", "normalisation": "batch"},
            "estimator": {"name": "local_losses", "inner": EACH},
        },
        ("estimator", "name"),
        [
            "couples examples",
            "networks that serve it by default: bacho_cnn, cnn, implicit_conv, implicit_mlp, "
            "implicit_multiscale, local_mixer, mlp, resnet",
        ],
    ),
    (
        {"optimizer": {"name": "sgd", "schedule": {"name": "cosin"}}},
        ("optimizer", "schedule", "name"),
        ["no schedule 'cosin'; did you mean 'cosine'?"],
    ),
    (
        {"optimizer": {"name": "sgd", "schedule": {"name": "cosine", "warmup": -1}}},
        ("optimizer", "schedule", "warmup"),
        ["warmup is -1; it must be at least 0"],
    ),
    (
        {"optimizer": {"name": "sgd", "lr": float("nan")}},
        ("optimizer", "lr"),
        ["lr is nan; it must be a finite number"],
    ),
    (
        {"optimizer": {"name": "sgd", "nesterov": True}},
        ("optimizer", "nesterov"),
        ["nesterov needs momentum above 0; momentum is 0"],
    ),
    ({"steps": 10**12}, ("steps",), ["steps is 1,000,000,000,000; it must be at most 10,000,000"]),
    ({"epochs": 3}, ("steps",), ["give steps or epochs, not both"]),
    (
        {"steps": None, "epochs": 90_000, "batch_size": 1},
        ("epochs",),
        ["96,660,000 steps; at most 10,000,000 are allowed"],
    ),
    (
        {"batch_size": 5000},
        ("batch_size",),
        ["batch_size is 5,000; it must be at most 1,074, the examples to train on"],
    ),
    ({"device": "cuda:99"}, ("device",), ["device cuda:99 is not on this machine", "auto, cpu"]),
    ({"device": "gpu"}, ("device",), ["device is 'gpu'; it must be auto, cpu or cuda:N"]),
    (
        {"probe": {"evry": 3}},
        ("probe", "evry"),
        ["no field 'evry' of probe; did you mean 'every'?"],
    ),
    ({"name": "x" * 300}, ("name",), ["name has 300 characters; at most 200 are allowed"]),
    ({"sede": 1}, ("sede",), ["no field 'sede' of a run; did you mean 'seed'?"]),
    ({"shadows": [4]}, ("shadows", 0), ["entry 1 of shadows is 4; it must be an object"]),
    (
        {"estimator": {"name": "xyzzy"}},
        ("estimator", "name"),
        ["no estimator 'xyzzy'; there are: "],
    ),
    (
        {"estimator": {"name": "spsa", "pairs": 10**9}},
        ("estimator", "pairs"),
        ["pairs is 1,000,000,000; it must be at most 4,096"],
    ),
    (
        {"estimator": {"name": "forward_gradient", "tangents": 4096}, "probe": {"draws": 4096}},
        ("probe", "draws"),
        ["4,096 draws of 3 estimators are worth 50,3", "at most 1,000,000 are allowed"],
    ),
    ({"batch_size": "x"}, ("batch_size",), ["batch_size is 'x'; it must be a whole number"]),
    ({"batch_size": 1.5}, ("batch_size",), ["batch_size is 1.5; it must be a whole number"]),
    ({"seed": None}, ("seed",), ["seed is empty; give a whole number"]),
    ({"steps": None}, ("steps",), ["steps is empty; give a whole number of steps, or epochs"]),
    (
        {"optimizer": {"name": "sgd", "lr": "0,01"}},
        ("optimizer", "lr"),
        ["lr is '0,01'; it must be a number (use a point: 0.01)"],
    ),
    (
        {"optimizer": {"name": "sgd", "lr": "nan"}},
        ("optimizer", "lr"),
        ["lr is 'nan'; it must be a finite number"],
    ),
    (
        {"network": {"name": "mlp", "width": None}},
        ("network", "width"),
        ["width is empty; give a whole number"],
    ),
    ({"dataset": None}, ("dataset",), ["dataset is empty; give an object"]),
    ({"dataset": 3}, ("dataset",), ["dataset is 3; it must be an object"]),
]


@pytest.mark.parametrize(("changes", "loc", "parts"), REFUSED)
def test_what_cannot_run_is_refused_in_a_sentence_at_its_place(changes, loc, parts, check):
    answer, errors = check(**changes)
    assert answer["config"] is None
    assert list(errors) == [loc]
    for part in parts:
        assert part in errors[loc]


def test_a_network_that_does_not_serve_is_not_named(check):
    _, errors = check(**POINT, estimator={"name": "activity_forward_gradient"})
    assert errors["estimator", "name"].endswith(
        "; networks that serve it by default: implicit_mlp, mlp"
    )


def test_all_problems_come_at_once(check):
    _, errors = check(
        steps=0,
        network={"name": "mlp", "width": 0, "depth": -1},
        shadows=[{"name": "backprop"}, {"name": "nope"}, {"nam": 1}],
    )
    assert list(errors) == [
        ("shadows", 2, "name"),
        ("steps",),
        ("network", "width"),
        ("network", "depth"),
        ("shadows", 1, "name"),
    ]


def test_a_broken_frame_hides_nothing(check):
    _, errors = check(
        batch_size=0,
        seed="x",
        device="cuda:99",
        network={"name": "mlp", "width": -5},
        shadows=[{"name": "spsa", "eps": 0}],
    )
    assert set(errors) == {
        ("batch_size",),
        ("seed",),
        ("device",),
        ("network", "width"),
        ("shadows", 0, "eps"),
    }
    assert errors["network", "width"] == "width is -5; it must be at least 1"


def test_a_default_in_place_of_what_is_broken_is_not_judged(check):
    small = {"name": "two_moons", "examples": 20}
    _, errors = check(dataset=small, batch_size="many")
    assert set(errors) == {("batch_size",)}


def test_a_network_too_large_for_the_memory_is_refused(check, monkeypatch):
    there = type("Memory", (), {"total": 2**30, "available": 2**29})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: there)
    _, errors = check(network={"name": "mlp", "width": 8192}, device="cpu", shadows=[])
    assert errors["network",] == (
        "the run needs about 5.8 GiB, of which 5.3 GiB are for 67,731,466 parameters with "
        "gradients, moments and draws; 512 MiB are free of 1.0 GiB: take a smaller network, "
        "switch probes off (probe.budget 0), or SGD without momentum"
    )


def test_a_run_without_a_name_is_named_once_and_for_all(check):
    answer, _ = check(name="  ", estimator={"name": "spsa", "pairs": 2})
    assert answer["config"]["name"] == "spsa(pairs=2) on digits"
    assert check(name=" mine ")[0]["config"]["name"] == "mine"


def test_an_estimator_that_the_network_cannot_serve_is_refused(check, tmp_path):
    (tmp_path / "picky.py").write_text(
        "from dataclasses import dataclass\n"
        "from estimators.core.contract import UnsupportedError\n"
        "from estimators.feedback.backprop import Backprop\n\n"
        "@dataclass(frozen=True)\n"
        "class Picky(Backprop):\n"
        "    def needs(self):\n"
        "        raise UnsupportedError('picky needs a larger network')\n"
    )
    _, errors = check([tmp_path], shadows=[{"name": "backprop"}, {"name": "picky"}])
    assert errors == {("shadows", 1, "name"): "picky needs a larger network"}


def test_plugins_are_listed_and_a_broken_one_harms_nothing(plugins, check):
    (plugins[0] / "broken.py").write_text("import nothing_of_that_name\n")
    found = catalogue(plugins)
    entry = next(e for e in found["estimators"] if e["name"] == "drifting")
    assert entry["source"]["kind"] == entry["family"] == "plugin"
    assert entry["schema"]["properties"]["channels"]["description"]
    assert [f["source"] for f in found["failures"]] == [str(plugins[0] / "broken.py")]
    _, first, *_, last = found["failures"][0]["traceback"].splitlines()
    assert first.endswith('/broken.py", line 1, in <module>'), "no line of the lab above its own"
    assert last == "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    answer, errors = check(plugins, estimator={"name": "drifting"})
    assert not errors
    assert answer["plugins"] == {"drifting": entry["source"]["hash"]}
