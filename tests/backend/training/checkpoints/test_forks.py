"""A run that begins with the checkpoint of another."""

import pytest

from backend.training.checkpoints import format
from backend.training.checkpoints.files import path_of
from backend.training.clock import Clock
from backend.training.control import Control
from backend.training.loop import train
from backend.training.records import Progress

STATEFUL = {
    "estimator": {"name": "drifting"},
    "shadows": [{"name": "direct_feedback_alignment"}],
    "probe": {"every": 4, "draws": 3},
}


@pytest.fixture
def fork(config, gather, gathered, plugins, tmp_path):
    """The parent's curve, and that of a fork at step 20 with other fields."""

    def made(optimizer=None, **changed):
        control, parent = Control(run_until=20), tmp_path / "parent"
        where = {"plugin_dirs": plugins}
        run = config(**STATEFUL, **({"optimizer": optimizer} if optimizer else {}))
        for record in train(run, control, checkpoint_dir=parent, **where):
            gathered.take(record)
            if isinstance(record, Progress) and record.status == "paused":
                control.update(run_until=None)
        (tmp_path / "origin").mkdir()
        path_of(tmp_path / "origin", 20).hardlink_to(path_of(parent, 20))
        own = {"checkpoint_dir": tmp_path / "child", "origin": tmp_path / "origin", **where}
        return gather(train(config(**{**STATEFUL, **changed}), **own)), own

    return made


def test_a_fork_that_changes_nothing_repeats_its_parent(fork, gathered):
    child, _ = fork()
    assert child.ended.status == "finished"
    assert child.facts.resumed_at == 20
    assert child.curve(20) == gathered.curve(20)
    assert [e.text for e in child.events] == [
        "begins at step 20 of its parent, with its weights and its optimiser's state"
    ]


def test_a_fork_tells_its_own_time(fork, tmp_path):
    fork()
    parent, child = (
        format.read(path_of(tmp_path / name, 20))["clock"] for name in ("parent", "child")
    )
    assert child["inherited"] >= parent["total"] > 0
    clock = Clock()
    clock.load({**child, "total": child["inherited"] + 5})
    assert 5 <= clock.own < 6, "as a resumed fork goes on"
    assert clock.total >= child["inherited"] + 5, "its axis goes on"


def test_another_driver_and_rate_from_the_same_weights(fork, gathered):
    optimizer = {"name": "sgd", "lr": 0.01, "momentum": 0.9}
    child, _ = fork(estimator={"name": "backprop"}, optimizer=optimizer)
    assert list(child.of("train/loss")) == list(range(20, 40))
    assert child.of("train/loss")[20] == gathered.of("train/loss")[20]
    assert child.of("train/loss")[22] != gathered.of("train/loss")[22]


def test_another_optimiser_begins_anew(fork):
    child, _ = fork(optimizer={"name": "adamw", "lr": 0.01})
    assert child.ended.status == "finished"
    assert child.events[0].text.endswith("with its weights; the optimiser begins anew")


def test_a_fork_that_has_checkpoints_goes_on_from_its_own(fork, config, gather):
    _, own = fork()
    again = gather(train(config(**STATEFUL), **own))
    assert (again.facts.resumed_at, again.events) == (40, [])


def test_a_fork_of_an_unprobed_run_is_probed(config, gather, tmp_path):
    bare = config(probe={"budget": 0})
    list(train(bare, checkpoint_dir=tmp_path / "bare"))
    probed = config(probe={"budget": 1.0, "draws": 2}, steps=60)
    child = gather(train(probed, origin=tmp_path / "bare"))
    assert min(child.of("cosine", estimator="backprop")) == 40


def test_a_plug_in_that_has_changed_since_begins_anew_and_is_told(fork, plugins, gather, config):
    _, own = fork()
    folder = own["checkpoint_dir"].with_name("other")
    file = plugins[0] / "drifting.py"
    file.write_text(f"{file.read_text()}# mended since\n")
    child = gather(train(config(**STATEFUL), **{**own, "checkpoint_dir": folder}))
    assert [e.text for e in child.events][1:] == [
        "drifting comes from another file than in the run: what it had learned is left"
    ]
    assert child.of("estimator/walk0", estimator="drifting")[20] == 0
