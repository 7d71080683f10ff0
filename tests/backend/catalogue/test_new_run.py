"""Where a new run starts, what follows a choice, and which remedies a refusal has."""

import pytest

from backend.catalogue import validate
from backend.catalogue.catalogue import EXAMPLE_RUN
from backend.catalogue.new_run.draft import inspect_draft
from backend.catalogue.new_run.presets import presets
from backend.catalogue.new_run.suitability import unsuited

SURFACE = {"name": "surface"}


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_every_preset_can_run(preset):
    found = inspect_draft([preset.config])
    assert found["problems"] == []
    assert found["steps"] >= 1
    assert found["weights"] > 0


def test_a_new_user_is_offered_one_of_the_presets():
    (offered,) = (p for p in presets() if p.name == "forward_against_feedback")
    assert (
        validate(EXAMPLE_RUN)["config"]
        == validate({"name": EXAMPLE_RUN["name"], **offered.config})["config"]
    )


def test_the_presets_have_titles_of_their_own():
    assert len({preset.title for preset in presets()}) == len(presets())


def test_a_surface_brings_its_network_and_leaves_out_what_cannot_be_measured_on_it():
    found = inspect_draft([{**EXAMPLE_RUN, "dataset": SURFACE}], "dataset")
    assert found["changes"]["network"]["name"] == "point"
    assert found["changes"]["shadows"] == []
    assert "estimator" not in found["changes"], "a forward gradient works on a point"
    assert found["said"] == [
        "Network is now Point: MLP does not suit Surface.",
        "Activity forward gradient and Direct feedback alignment left out of the shadows: not "
        "possible with Point.",
    ]
    assert found["problems"] == []


def test_a_network_brings_a_driver_that_serves_it():
    on_point = {**EXAMPLE_RUN, "dataset": SURFACE, "estimator": {"name": "fdfa"}, "shadows": []}
    found = inspect_draft([{**on_point, "network": {"name": "point"}}], "network")
    assert found["changes"]["estimator"]["name"] == "forward_gradient"
    assert found["problems"] == []


def test_data_that_the_network_does_not_take_bring_another():
    on_point = {**EXAMPLE_RUN, "network": {"name": "point"}, "shadows": []}
    found = inspect_draft([on_point], "dataset")
    assert found["changes"]["network"]["name"] == "mlp"
    own_loss = {**EXAMPLE_RUN, "loss": {"name": "info_nce"}, "dataset": SURFACE}
    assert inspect_draft([own_loss], "dataset")["changes"]["loss"]["name"] == "cross_entropy"


def test_nothing_follows_what_suits():
    found = inspect_draft([{**EXAMPLE_RUN, "dataset": {"name": "two_moons"}}], "dataset")
    assert found["changes"] == {}
    assert found["said"] == []


def test_the_remedies_of_a_refusal_remove_it():
    refused = {
        **EXAMPLE_RUN, "dataset": SURFACE, "network": {"name": "point"},
        "estimator": {"name": "direct_feedback_alignment"},
    }  # fmt: skip
    found = inspect_draft([refused])
    assert {tuple(problem["loc"]) for problem in found["problems"]} == {
        ("estimator", "name"), ("shadows", 0, "name"), ("shadows", 1, "name"),
    }  # fmt: skip
    for problem in found["problems"]:
        assert problem["remedies"]
        for remedy in problem["remedies"]:
            after = inspect_draft([{**refused, **remedy["changes"]}])
            assert len(after["problems"]) < len(found["problems"]), remedy


def test_each_problem_of_several_combinations_comes_once():
    drafts = [{**EXAMPLE_RUN, "batch_size": 0, "seed": seed} for seed in range(3)]
    (problem,) = inspect_draft(drafts)["problems"]
    assert problem["loc"] == ["batch_size"]


def test_what_does_not_suit_is_named_with_its_reason():
    config = {**EXAMPLE_RUN, "dataset": SURFACE, "network": {"name": "point"}}
    found = unsuited(config)
    assert "at least one activation" in found["estimators"]["activity_forward_gradient"]
    assert "forward_gradient" not in found["estimators"]
    assert "cnn" in found["networks"]
    assert "info_nce" in found["losses"]
    assert unsuited({**config, "dataset": {"name": "nowhere"}}) == {}
