"""Checkpoints: whole or not at all, few, and enough to go on as if nothing had happened."""

import errno
from itertools import pairwise

import pytest
import torch

from backend.training import checkpointing, loop
from backend.training.checkpoints import format
from backend.training.checkpoints.files import (
    checkpoint_steps,
    path_of,
    resume_step,
    spread,
    surplus,
)
from backend.training.checkpoints.tree import flatten, unflatten
from backend.training.control import Control
from backend.training.loop import train
from backend.training.optimizers import optimizers
from backend.training.records import Progress

OPTIMIZERS = [
    {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True},
    {"name": "adamw", "lr": 0.01, "schedule": {"name": "cosine", "warmup": 5}},
    {"name": "adam", "lr": 0.01, "rates": "head: 0.1, hidden1: 2"},
    {"name": "rmsprop", "lr": 0.01, "momentum": 0.5, "centered": True, "rates": "heads: 0.1"},
    {"name": "lars", "lr": 10.0, "schedule": {"name": "linear"}},
    {"name": "frank_wolfe", "steps": "falling", "lr": 0.1, "schedule": {"name": "exponential"}},
]


def stateful(config, **changes):
    return config(
        estimator={"name": "drifting"},
        shadows=[{"name": "drifting", "channels": 3}, {"name": "direct_feedback_alignment"}],
        probe={"every": 4, "draws": 3},
        **changes,
    )


def stop_at(step, run, gathered, **kwargs):
    control = Control(run_until=step)
    for record in train(run, control, **kwargs):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            control.update(run_until=step, stop=True)
    assert gathered.ended.status == "stopped"


def test_every_optimiser_is_resumed_below():
    assert {optimizer["name"] for optimizer in OPTIMIZERS} == set(optimizers())


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o["name"])
@pytest.mark.parametrize("step", [17, 20])
def test_a_resumed_curve_equals_an_undisturbed_one(
    optimizer, step, config, gather, gathered, plugins, tmp_path
):
    run = stateful(config, optimizer=optimizer)
    whole = gather(train(run, plugin_dirs=plugins)).curve()
    stop_at(step, run, gathered, plugin_dirs=plugins, checkpoint_dir=tmp_path / "c")
    assert resume_step(tmp_path / "c") == step
    rest = gather(train(run, plugin_dirs=plugins, checkpoint_dir=tmp_path / "c"))
    assert rest.facts.resumed_at == step
    assert gathered.curve() == _cut(whole, 0, step)
    assert rest.curve() == _cut(whole, step, 41)


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    config, gather, plugins, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)  # one before each step
    run = stateful(config)
    records = train(run, plugin_dirs=plugins, checkpoint_dir=tmp_path / "c")
    for record in records:
        if isinstance(record, Progress) and record.step >= 13:
            break
    records.close()
    step = resume_step(tmp_path / "c")
    assert step == 12
    rest = gather(train(run, plugin_dirs=plugins, checkpoint_dir=tmp_path / "c"))
    whole = gather(train(run, plugin_dirs=plugins)).curve()
    assert rest.curve() == _cut(whole, step, 41)


def test_a_changed_learning_rate_survives(config, gather, gathered, tmp_path):
    control = Control(run_until=10)
    for record in train(config(), control, checkpoint_dir=tmp_path):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            control.update(
                run_until=10, changes=[{"id": 1, "lr": 0.5}], stop=gathered.events[1:] != []
            )
    rest = gather(train(config(), checkpoint_dir=tmp_path))
    assert set(rest.of("train/learning_rate").values()) == {0.5}


def test_a_change_is_applied_once_over_a_resume(config, gather, gathered, tmp_path):
    """The server sends all changes to every attempt, in every answer."""
    orders = [{"id": 1, "lr": 0.5}, {"id": 2, "lr": 0.25}]
    control = Control(run_until=10)
    for record in train(config(), control, checkpoint_dir=tmp_path):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            control.update(run_until=10, changes=orders, stop=gathered.events[2:] != [])
    assert [e.text.split()[-1] for e in gathered.events if e.kind == "change"] == ["0.5", "0.25"]
    later = Control()
    later.update(changes=[*orders, {"id": 3, "lr": 0.125}])
    rest = gather(train(config(), later, checkpoint_dir=tmp_path))
    assert [e.text for e in rest.events] == ["learning rate changed from 0.25 to 0.125"]
    assert set(rest.of("train/learning_rate").values()) == {0.125}


def test_the_clock_goes_on(config, gather, gathered, tmp_path):
    stop_at(10, config(), gathered, checkpoint_dir=tmp_path)
    rest = gather(train(config(), checkpoint_dir=tmp_path))
    assert rest.progress[0].seconds >= gathered.progress[-2].seconds


def test_a_finished_run_resumes_to_its_end(config, gather, tmp_path):
    first = gather(train(config(), checkpoint_dir=tmp_path))
    again = gather(train(config(), checkpoint_dir=tmp_path))
    assert again.ended == first.ended
    assert again.of("test/loss") == first.of("test/loss")


def test_the_first_the_newest_and_a_thinned_history_are_kept(tmp_path):
    for step in range(0, 20_010, 10):
        format.write(tmp_path, step, {"x": torch.zeros(1)})
    kept = checkpoint_steps(tmp_path)
    assert (kept[0], kept[-2:], len(kept)) == (0, [19_990, 20_000], 12)
    gaps = [b**0.5 - a**0.5 for a, b in pairwise(kept[:-2])]
    even = 20_000**0.5 / 10
    assert even / 3 < min(gaps) <= max(gaps) < 2 * even, kept


def test_a_history_is_the_same_however_often_it_was_interrupted():
    """What is kept depends on the steps that are there, not on who wrote them."""
    steps: list[int] = []
    for step in range(0, 5_000, 7):
        steps.append(step)
        gone = surplus(steps, 1)
        assert surplus([s for s in steps if s not in gone], 1) == []
        steps = [s for s in steps if s not in gone]
    assert len(steps) == 12


@pytest.mark.parametrize(("megabytes", "kept"), [(20, 12), (64, 7), (200, 4), (300, 3)])
def test_the_history_of_a_large_network_is_shorter(megabytes, kept):
    steps = list(range(0, 400, 10))
    assert len(steps) - len(surplus(steps, megabytes * 2**20)) == kept


def test_a_run_of_a_few_seconds_has_them_throughout(config, gather, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpointing, "MAX_SHARE", float("inf"))
    synced = []
    monkeypatch.setattr(format.os, "fsync", lambda descriptor: synced.append(descriptor))
    run = gather(train(config(steps=200), checkpoint_dir=tmp_path))
    kept = checkpoint_steps(tmp_path)
    assert kept == [0, 2, 8, 18, 32, 50, 72, 98, 128, 162, 200]
    assert len(synced) == 4  # of the first and the last one: each file, and its folder
    resumed = gather(train(config(steps=200), checkpoint_dir=tmp_path))
    assert (resumed.ended, checkpoint_steps(tmp_path)) == (run.ended, kept)
    path_of(tmp_path, 200).unlink()
    rest = gather(train(config(steps=200), checkpoint_dir=tmp_path))
    assert rest.curve() == _cut(run.curve(), 162, 201)


def test_they_take_a_small_share_of_the_time(config, gather, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpointing, "MAX_SHARE", 0.0)
    gather(train(config(steps=200), checkpoint_dir=tmp_path))
    assert checkpoint_steps(tmp_path) == [0, 2, 200]  # the first one's cost is not known before


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(1, []), (3, [1, 2]), (20_000, [200, 800, 1800, 3200, 5000, 7200, 9800, 12800, 16200])],
)
def test_the_steps_lie_evenly_in_the_root(steps, expected):
    assert spread(steps) == expected


def test_an_interrupted_write_leaves_the_last_one_whole(tmp_path, monkeypatch):
    format.write(tmp_path, 1, {"x": torch.ones(1)})
    monkeypatch.setattr(format.os, "fsync", _fail)
    with pytest.raises(OSError, match="disk"):
        format.write(tmp_path, 2, {"x": torch.zeros(1)})
    assert checkpoint_steps(tmp_path) == [1]
    assert format.read(path_of(tmp_path, 1)) == {"x": torch.ones(1)}


def test_no_folder_no_checkpoint(tmp_path):
    assert checkpoint_steps(tmp_path / "none") == []
    assert resume_step(tmp_path / "none") == 0


def test_a_tree_comes_back_as_it_was():
    shared = torch.arange(6.0).reshape(2, 3)
    tree = {"a": (shared, [1, None, "x", True]), 3: {"b": shared.t()}, "empty": ()}
    tensors, skeleton = flatten(tree)
    back = unflatten(tensors, skeleton)
    assert back["a"][1] == [1, None, "x", True]
    assert type(back["a"]) is tuple
    assert back[3]["b"].equal(shared.t())
    assert back["empty"] == ()


def test_what_a_checkpoint_cannot_hold_is_named():
    with pytest.raises(TypeError, match="/state/1 is set, which a checkpoint cannot hold"):
        flatten({"state": (1, {2})})


def _cut(curve, first, last):
    cut = {
        key: {s: v for s, v in series.items() if first <= s < last} for key, series in curve.items()
    }
    return {key: series for key, series in cut.items() if series}


def _fail(_):
    raise OSError("disk")


def test_a_full_disk_costs_checkpoints_and_is_noted_once(config, gather, tmp_path, monkeypatch):
    format.write(tmp_path, 0, {"x": torch.ones(1)})

    def full(_file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(format.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        format.write(tmp_path, 7, {"x": torch.ones(1)})
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000000000.safetensors"]
    monkeypatch.setattr("backend.training.loop.CHECKPOINT_SECONDS", 0.0)
    run = gather(train(config(), checkpoint_dir=tmp_path / "other"))
    assert run.ended.status == "finished"
    (noted,) = [e for e in run.events if e.kind == "checkpoint"]
    assert "the disk is full" in noted.text
