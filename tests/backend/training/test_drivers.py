"""Another estimator drives, in mid-run."""

import pytest
import torch

from backend.training.checkpoints import format
from backend.training.checkpoints.files import config_at, path_of
from backend.training.components.assemble import Labelled
from backend.training.control import Control
from backend.training.estimator_roles import EstimatorRoles
from backend.training.loop import train
from backend.training.records import Facts, Progress
from estimators.feedback.backprop import Backprop

NEW = {"label": "forward_gradient", "estimator": {"name": "forward_gradient"}}


@pytest.fixture
def raced(config):
    """A run whose driver and shadows have states that matter."""
    return config(
        estimator={"name": "momentum"},
        shadows=[{"name": "drifting"}, {"name": "direct_feedback_alignment"}],
        probe={"every": 4, "draws": 3},
        steps=30,
    )


def switched(run, gathered, changes, at=10, stop=None, **where):
    """Train with these changes at step `at`; stop at step `stop`."""
    control, facts = Control(run_until=at), []
    for record in train(run, control, **where):
        gathered.take(record)
        facts += [record] if isinstance(record, Facts) else []
        if isinstance(record, Progress) and record.status == "paused":
            if record.step == at:
                control.update(run_until=stop, changes=changes)
            else:
                control.update(run_until=stop, stop=True)
    return facts


@pytest.mark.parametrize("driver", [{"label": "drifting"}, NEW], ids=["shadow", "newcomer"])
def test_a_run_resumed_after_a_switch_equals_an_undisturbed_one(
    driver, raced, gather, gathered, plugins, tmp_path
):
    changes = [{"id": 1, "driver": driver, "lr": 0.001}]
    whole, where = type(gathered)(), {"plugin_dirs": plugins}
    switched(raced, whole, changes, **where, checkpoint_dir=tmp_path / "whole")
    switched(raced, gathered, changes, stop=17, **where, checkpoint_dir=tmp_path / "parts")
    assert (whole.ended.status, gathered.ended.step) == ("finished", 17), whole.ended
    later = Control()
    later.update(changes=changes)  # the server sends all of them again
    rest = gather(train(raced, later, checkpoint_dir=tmp_path / "parts", **where))
    assert [e.kind for e in rest.events] == []
    assert rest.curve(17) == whole.curve(17)
    states = [format.read(path_of(tmp_path / name, 30))["trainer"] for name in ("whole", "parts")]
    assert _plain(states[0]) == _plain(states[1])
    assert set(states[0]["estimators"]) == {
        "momentum", "drifting", "direct_feedback_alignment", driver["label"],
    }  # fmt: skip


def test_a_checkpoint_with_the_former_name_of_the_roles_is_resumed(
    raced, gather, gathered, plugins, tmp_path
):
    where = {"plugin_dirs": plugins, "checkpoint_dir": tmp_path / "c"}
    switched(raced, gathered, [{"id": 1, "driver": NEW, "lr": 0.001}], stop=17, **where)
    path = path_of(tmp_path / "c", 17)
    state = format.read(path)
    state["trainer"]["lineup"] = state["trainer"].pop("roles")
    format.write(tmp_path / "c", 17, state)
    assert config_at(path)["estimators"][0]["name"] == "forward_gradient"
    rest = gather(train(raced, **where))
    assert rest.ended.status == "finished", rest.ended
    assert rest.facts.labels["driver"] == "forward_gradient"
    assert rest.facts.drives == [(0, "momentum"), (10, "forward_gradient")]
    assert "roles" in format.read(path_of(tmp_path / "c", 30))["trainer"]


def test_the_former_driver_is_watched_and_nothing_changes_before(raced, gather, gathered, plugins):
    before = gather(train(raced, plugin_dirs=plugins))
    facts = switched(raced, gathered, [{"id": 1, "driver": NEW, "lr": 0.001}], plugin_dirs=plugins)
    assert gathered.curve(last=10) == before.curve(last=10)
    assert gathered.curve(11) != before.curve(11)
    assert facts[0].labels["driver"] == "momentum"
    assert facts[1].labels == {
        "driver": "forward_gradient",
        "shadows": ["drifting", "direct_feedback_alignment", "momentum"],
    }
    assert facts[1].drives == [(0, "momentum"), (10, "forward_gradient")]
    assert set(facts[1].cost) == {facts[1].labels["driver"], *facts[1].labels["shadows"]}
    assert [e.text for e in gathered.events if e.kind == "change"] == [
        "learning rate changed from 0.1 to 0.001",
        "driver changed from momentum to forward_gradient",
    ]
    assert 12 in gathered.of("cosine", estimator="momentum")
    assert 8 not in gathered.of("cosine", estimator="forward_gradient")


def test_what_drivers_report_of_themselves_is_under_their_names(config, gathered, plugins):
    run = config(estimator={"name": "drifting"}, shadows=[{"name": "backprop"}])
    switched(run, gathered, [{"id": 1, "driver": {"label": "backprop"}}], plugin_dirs=plugins)
    assert list(gathered.of("estimator/walk0", estimator="drifting")) == list(range(10))


def test_an_estimator_that_is_gone_ends_the_run_in_words(raced, gathered, plugins):
    lost = {"label": "lost", "estimator": {"name": "lost"}}
    switched(raced, gathered, [{"id": 1, "driver": lost}], plugin_dirs=plugins)
    assert gathered.ended.status == "failed"
    assert "no estimator 'lost'" in gathered.ended.error


def test_roles_swap_and_swap_back():
    one, two = Labelled("one", Backprop()), Labelled("two", Backprop())
    roles = EstimatorRoles(one, (two,))
    roles.switch(5, two)
    assert roles.labels == {"driver": "two", "shadows": ["one"]}
    roles.switch(5, one)
    assert roles.labels == {"driver": "one", "shadows": ["two"]}
    assert roles.drives == [(0, "one"), (5, "one")]


def _plain(value):
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
