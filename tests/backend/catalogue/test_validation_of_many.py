"""Configurations with thousands of entries, and many configurations at once."""

from collections import Counter

import pytest
from torch import nn

from backend.catalogue import shared_chains, validate, validate_all
from backend.catalogue.catalogue import EXAMPLE_RUN
from backend.catalogue.component_checks import _refusal
from backend.catalogue.shared_chains import structure
from backend.config import MAX_SHADOWS
from backend.training.components import resolve
from backend.training.components.resolve import MAX_PROBLEMS
from backend.training.datasets.digits import Digits
from backend.training.losses.cross_entropy import CrossEntropy
from backend.training.memory.need import laid_out
from backend.training.networks.mlp import MLP
from estimators.autodiff import trial_passes

KEYS = {f"key {i}": i for i in range(19_000)}


@pytest.mark.parametrize("place", [(), ("network",), ("estimator",), ("probe",)])
def test_of_thousands_of_unknown_fields_the_first_are_told(place):
    config = {**EXAMPLE_RUN}
    if place:
        config[place[0]] = {**config[place[0]], **KEYS}
    else:
        config |= KEYS
    errors = validate(config)["errors"]
    assert len(errors) == MAX_PROBLEMS
    assert errors[0]["loc"] == [*place, "key 0"]
    assert "no field 'key 0'" in errors[0]["msg"]


def test_too_many_shadows_are_counted_and_none_is_built(monkeypatch):
    built = []
    made = resolve._make
    monkeypatch.setattr(resolve, "_make", lambda *a: built.append(a) or made(*a))
    answer = validate({**EXAMPLE_RUN, "shadows": [{"name": "spsa"}] * 5000})
    (error,) = answer["errors"]
    assert error["loc"] == ["shadows"]
    assert error["msg"] == f"shadows has 5,000 entries; at most {MAX_SHADOWS} are allowed"
    assert "spsa" not in {name for name, *_ in built}


def study(count: int) -> list[dict]:
    rates = [0.001 * (i + 1) for i in range(count)]
    return [{**EXAMPLE_RUN, "optimizer": {"name": "sgd", "lr": lr}} for lr in rates]


def test_many_configurations_get_the_answers_that_each_gets_alone():
    fields = [
        {"estimator": {"name": "forward_gradient", "tangents": 3}},
        {"estimator": {"name": "forward_gradient", "tangents": 0}},
        {"network": {"name": "mlp", "width": 8}},
        {"network": {"name": "point"}},
        {"shadows": [{"name": "activity_forward_gradient"}], "network": {"name": "point"}},
        {"loss": {"name": "info_nce"}, "batch_size": 1},
    ]
    configs = [{**EXAMPLE_RUN, **each} for each in fields] + study(3)
    together = validate_all(configs)
    assert together == [validate(config) for config in configs]
    assert [bool(answer["errors"]) for answer in together] == [
        False, True, False, True, True, True, False, False, False,
    ]  # fmt: skip


def test_what_the_configurations_of_a_study_share_is_checked_once(monkeypatch):
    required = []
    monkeypatch.setattr("backend.catalogue.component_checks.require", lambda *a: required.append(a))
    configs = [{**c, "network": {"name": "mlp", "width": 99}} for c in study(40)]
    assert not any(answer["errors"] for answer in validate_all(configs))
    assert len(required) == 1 + len(EXAMPLE_RUN["shadows"])


def widths(count: int, first: int, **fields) -> list[dict]:
    networks = [{"name": "mlp", "width": first + i, **fields} for i in range(count)]
    drivers = ["backprop", "forward_gradient", "spsa", "activity_forward_gradient"]
    return [
        {**EXAMPLE_RUN, "shadows": [], "network": network, "estimator": {"name": driver},
         "optimizer": {"name": "sgd", "lr": lr}}
        for network in networks
        for driver in drivers
        for lr in (0.1, 0.2)
    ]  # fmt: skip


@pytest.fixture
def counted(monkeypatch):
    """How often each of the slow checks is made."""
    counts: Counter[str] = Counter()

    def count(module, name):
        made = getattr(module, name)
        counting = lambda *a, **k: counts.update([name]) or made(*a, **k)  # noqa: E731
        monkeypatch.setattr(module, name, counting)

    count(shared_chains, "on_meta_device")  # with a pass that looks for random numbers
    count(shared_chains, "footprint")
    for name in ("push_forward", "push_forward_from_sites", "value_and_grad", "cut_at_sites"):
        count(trial_passes, name)
    return counts


def test_networks_that_differ_in_their_widths_are_tried_once_and_each_is_measured(counted):
    # A structure that no other test has looked at in this process.
    configs = widths(30, 201, depth=5, activation="gelu")
    assert not any(answer["errors"] for answer in validate_all(configs))
    assert counted.pop("footprint") == 30
    assert counted == {
        "on_meta_device": 1, "push_forward": 1, "push_forward_from_sites": 1, "value_and_grad": 1,
        "cut_at_sites": 1,
    }  # fmt: skip


def test_networks_of_another_structure_are_tried_themselves(counted):
    for depth in (6, 7):
        validate_all(widths(2, 301, depth=depth, activation="gelu"))
    validate_all(widths(2, 301, depth=6, activation="tanh"))
    assert counted["on_meta_device"] == counted["push_forward"] == 3


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"width": 9}, True),
        ({"depth": 3}, False),
        ({"activation": "tanh"}, False),
        ({"normalisation": "layer"}, False),
    ],
)
def test_the_structure_of_a_network_leaves_its_sizes_out_alone(changes, same):
    of = lambda **fields: structure(laid_out(MLP(**fields), Digits(), CrossEntropy()))  # noqa: E731
    assert (of(**{"width": 8, "depth": 2} | changes) == of(width=8, depth=2)) == same


def test_a_convolution_of_another_stride_is_another_structure():
    of = lambda **fields: structure(nn.Sequential(nn.Conv2d(3, **fields)))  # noqa: E731
    plain = of(out_channels=8, kernel_size=3)
    assert of(out_channels=9, kernel_size=3) == plain
    assert of(out_channels=8, kernel_size=3, stride=2) != plain
    assert of(out_channels=8, kernel_size=3, padding_mode="circular") != plain
    assert of(out_channels=8, kernel_size=3, bias=False) != plain


def test_a_refusal_that_depends_on_the_width_is_not_shared():
    """Twins share their trials alone: a network of fewer weights than directions is refused."""
    driver = {"name": "forward_gradient", "tangents": 700, "combine": "orthogonal"}
    configs = [{**config, "estimator": driver} for config in widths(1, 64) + widths(1, 1)[:1]]
    *wide, narrow = [answer["errors"] for answer in validate_all(configs)]
    assert not any(wide)
    assert "parameters: no more than" in narrow[0]["msg"]


def test_an_estimator_with_a_field_that_cannot_be_hashed_is_checked_all_the_same():
    class Listed:
        __hash__ = None

    with pytest.raises(AttributeError):  # `require` sees it: the cache did not refuse it
        _refusal(Listed(), None, None, None)


@pytest.mark.parametrize(
    ("field", "fields", "norm"),
    [
        ("auxiliary", {"auxiliary": "cnn"}, "none"),
        ("source", {}, "batch"),
        ("source", {"auxiliary_norm": "batch", "target_loss": "local"}, "none"),
        ("unit", {"unit": "tensor_and_example", "source": "oracle"}, "batch"),
        ("guesser", {"guess": "estimator", "guesser": {"name": "spsa"}}, "none"),
        ("guesser", {"guess": "estimator", "guesser": {"name": "guess_and_target"}}, "none"),
        ("guesser", {"guess": "estimator", "guesser": {"name": "local_losses", "auxiliary": "cnn",
                                                       "inner": {"name": "backprop"}}}, "none"),
    ],
)  # fmt: skip
def test_a_refusal_of_guesses_and_targets_stands_at_the_field_that_it_is_about(field, fields, norm):
    network = {"name": "mlp", "width": 8, "depth": 2, "normalisation": norm}
    config = {**EXAMPLE_RUN, "network": network, "shadows": []}
    for loc, guess in ((["estimator"], "estimator"), (["shadows", 0], "shadows")):
        described = {"name": "guess_and_target", **fields}
        changes = {guess: described if guess == "estimator" else [described]}
        errors = validate({**config, "estimator": {"name": "backprop"}, **changes})["errors"]
        assert [error["loc"] for error in errors] == [[*loc, field]], errors


def test_an_estimator_that_guesses_is_served():
    guess = {"name": "guess_and_target", "guess": "estimator"}
    assert validate({**EXAMPLE_RUN, "estimator": guess, "shadows": []})["errors"] == []


@pytest.mark.parametrize(("batch_size", "served"), [(2, True), (2048, False)])
def test_what_an_estimator_keeps_for_each_example_is_counted_for_the_runs_batch(batch_size, served):
    """256·64 weights and more, 2,048 times: beyond the limit of 2²⁶ numbers."""
    guess = {"name": "guess_and_target", "unit": "tensor_and_example"}
    network = {"name": "mlp", "width": 256, "depth": 2}
    config = {**EXAMPLE_RUN, "network": network, "estimator": guess, "batch_size": batch_size}
    errors = validate({**config, "dataset": {"name": "digits"}, "shadows": []})["errors"]
    messages = [e["msg"] for e in errors if e["loc"] == ["estimator", "source"]]
    assert bool(messages) == (not served), errors
    assert all("take source=oracle, a smaller batch" in message for message in messages)
