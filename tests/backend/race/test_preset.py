"""The race's preset: a valid run, whose estimators and layers are those that the page names."""

import pytest

from backend.catalogue.validation import validate_with
from backend.race.preset import preset
from backend.training.components.assemble import component_index


@pytest.mark.parametrize("driver", [None, *preset().labels])
def test_the_race_can_run_whoever_drives(driver):
    config = preset().driven_by(driver) if driver else preset().document
    answer = validate_with(config, component_index())
    assert not answer.get("errors")
    labels = answer["labels"]
    assert {labels["driver"], *labels["shadows"]} == {*preset().labels}
    driven = preset().racer(labels["driver"])
    assert answer["config"]["optimizer"]["lr"] == driven.rate


def test_it_is_the_race_that_the_page_promises():
    config = preset().config
    assert (config.steps, config.probe.every, config.dataset.name) == (2400, 32, "digits")
    with pytest.raises(KeyError):
        preset().driven_by("spsa")


def test_every_field_of_the_preset_changes_its_hash():
    changed = preset().model_copy(deep=True)
    changed.estimators[0].rate *= 2
    assert changed.digest != preset().digest
    assert preset().model_copy(deep=True).digest == preset().digest
