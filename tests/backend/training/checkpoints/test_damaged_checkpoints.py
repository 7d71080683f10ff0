"""Damaged checkpoints: each kind of damage is seen, passed over in words, and changes no number."""

import pytest
import torch

from backend.training.checkpoints import format
from backend.training.checkpoints.files import (
    checkpoint_steps,
    damage,
    newest_sound,
    path_of,
    resume_step,
    surplus,
)
from backend.training.control import Control
from backend.training.loop import train
from backend.training.records import Progress

STATE = {"x": torch.arange(8.0), "note": "a text"}


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def in_place_of_the_file(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "too long": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "no JSON": lambda path: flip(path, 8),
    "another word": lambda path: flip(path, path.read_bytes().index(b"a text")),
    "another number": lambda path: flip(path, -3),
    "a foreign file": lambda path: path.write_bytes(b"\xff" * 1000),
    "unreadable": in_place_of_the_file,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_each_kind_of_damage_is_seen(kind, tmp_path):
    for step in (3, 7):
        format.write(tmp_path, step, STATE)
    assert damage(path_of(tmp_path, 7)) == ""
    DAMAGE[kind](path_of(tmp_path, 7))
    step, wrong = newest_sound(tmp_path)
    assert (step, list(wrong), resume_step(tmp_path)) == (3, [7], 3)
    said = "cannot be read (Is a directory)" if kind == "unreadable" else "is damaged or cut short"
    assert wrong[7].startswith(f"the checkpoint of step 7 {said}")


def test_a_checkpoint_that_is_deleted_meanwhile_is_no_damage(tmp_path, monkeypatch):
    format.write(tmp_path, 3, STATE)
    monkeypatch.setattr("backend.training.checkpoints.files.checkpoint_steps", lambda _: [3, 7])
    assert newest_sound(tmp_path) == (3, {})


@pytest.fixture
def killed(config, tmp_path, monkeypatch):
    """A run with checkpoints that was killed, and the points of one that was not."""
    monkeypatch.setattr("backend.training.loop.CHECKPOINT_SECONDS", 0.0)
    records = train(config(), checkpoint_dir=tmp_path)
    for record in records:
        if isinstance(record, Progress) and record.step >= 13:
            break
    records.close()
    monkeypatch.undo()
    return config()


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_run_goes_on_from_the_newest_sound_one_and_says_so(damaged, killed, gather, tmp_path):
    whole = gather(train(killed)).curve()
    *_, sound, last = steps = checkpoint_steps(tmp_path)
    for step in steps[-damaged:]:
        path_of(tmp_path, step).write_bytes(b"")
    expected = steps[-damaged - 1]
    rest = gather(train(killed, checkpoint_dir=tmp_path))
    assert rest.facts.resumed_at == expected
    assert rest.curve() == {
        key: kept for key, points in whole.items()
        if (kept := {s: v for s, v in points.items() if s >= expected})
    }  # fmt: skip
    said = [(e.step, e.text.rpartition("; ")[2]) for e in rest.events if e.kind == "checkpoint"]
    assert said == [(s, f"the run goes on from step {expected}") for s in (last, sound)[:damaged]]
    assert len(list(tmp_path.glob("*.damaged"))) == damaged  # they are put away


def test_a_run_without_a_sound_one_begins_again(killed, gather, tmp_path):
    for step in checkpoint_steps(tmp_path):
        path_of(tmp_path, step).write_bytes(b"x")
    again = gather(train(killed, checkpoint_dir=tmp_path))
    assert again.facts.resumed_at == 0
    assert again.curve() == gather(train(killed)).curve()
    assert {e.text.rpartition("; ")[2] for e in again.events} == {
        "no other is left, so the run begins again"
    }
    assert len(checkpoint_steps(tmp_path)) <= len(again.events)
    assert surplus(checkpoint_steps(tmp_path), 1) == []


@pytest.mark.parametrize("spoil", ["gone", *DAMAGE])
def test_a_fork_without_its_checkpoint_fails_in_a_sentence(spoil, killed, gather, tmp_path):
    origin = tmp_path / "origin"
    format.write(origin, 20, STATE)
    if spoil == "gone":
        path_of(origin, 20).unlink()
    else:
        DAMAGE[spoil](path_of(origin, 20))
    fork = gather(train(killed, checkpoint_dir=tmp_path / "own", origin=origin))
    assert fork.ended.status == "failed"
    assert fork.ended.error.endswith("; this fork has no other to begin with: fork again")
    assert "Traceback" not in fork.ended.error


def test_a_divergence_is_explained_without_a_damaged_one(config, gather, plugins, tmp_path):
    breaking = config(estimator={"name": "drifting", "breaks_at": 4})
    control = Control(run_until=2)
    for record in train(breaking, control, checkpoint_dir=tmp_path, plugin_dirs=plugins):
        if isinstance(record, Progress) and record.status == "paused":
            path_of(tmp_path, 2).write_bytes(b"x")
            control.update()
        last = record
    assert "the estimate of drifting(breaks_at=4) was not finite at step 4" in last.error
