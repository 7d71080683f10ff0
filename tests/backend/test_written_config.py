"""A configuration as YAML reads back as the same, and a time is told from runs alike."""

from types import SimpleNamespace

import pytest

from backend import documents
from backend.catalogue import catalogue, validate
from backend.catalogue.catalogue import EXAMPLE_RUN
from backend.catalogue.new_run.presets import presets
from backend.expected_time import expected
from backend.studies.several_values import as_config, as_study, combinations, varied
from backend.written_config import written

NESTED = {
    **EXAMPLE_RUN,
    "name": "a: b # 'c' \"d\" — <b> ü",
    "estimator": {"name": "local_losses", "inner": {"name": "forward_gradient", "tangents": 3}},
    "network": {"name": "local_mixer"},
    "shadows": [],
    "steps": None,
    "epochs": 1.5,
}


@pytest.fixture(scope="module")
def everything():
    return catalogue()


@pytest.mark.parametrize("config", [EXAMPLE_RUN, NESTED, *(preset.config for preset in presets())])
def test_a_configuration_survives_its_text(config, everything):
    valid = validate(config)["config"]
    text = written(valid, everything)
    assert validate(documents.parse(text, "it"))["config"] == valid
    assert len(text) < 900, "what is at its default is left out"


def test_several_values_survive_the_text_of_their_study(everything):
    valid = validate(EXAMPLE_RUN)["config"]
    draft = {**valid, "seed": [0, 1], "estimator": {**valid["estimator"], "tangents": [1, 4, 16]}}
    assert varied(draft) == {"estimator.tangents": [1, 4, 16], "seed": [0, 1]}
    tangents = [each["estimator"]["tangents"] for each in combinations(draft)]
    assert tangents == [1, 1, 4, 4, 16, 16]
    again = as_config(documents.parse(written(as_study(draft), everything), "it"))
    assert again is not None
    assert varied(again) == varied(draft)
    singles = [validate(each)["config"] for each in combinations(again)]
    assert singles == [*combinations(draft)]


@pytest.mark.parametrize(
    "more", [{"methods": [{"label": "a"}]}, {"grid": {"estimator": [{"name": "spsa"}]}}]
)
def test_a_study_that_says_more_is_no_configuration(more):
    assert as_config({"name": "a", "base": {"steps": 1}, **more}) is None


def test_a_time_is_told_from_the_newest_run_that_is_alike():
    config = validate(EXAMPLE_RUN)["config"]
    other = {**config, "shadows": []}
    runs = [
        SimpleNamespace(number=9, config=config, step=10, seconds=0.01),
        SimpleNamespace(number=8, config=other, step=100, seconds=1.0),
        SimpleNamespace(number=7, config=config, step=100, seconds=2.0),
    ]
    assert expected(config, 1000, runs) == (20.0, "at the speed of run 7")
    assert expected(config, 1000, runs[:2]) == (
        10.0, "at the speed of run 8 with other estimators or probes"
    )  # fmt: skip
    assert expected(config, 1000, runs[:1]).seconds is None
