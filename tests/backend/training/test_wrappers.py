"""Wrappers in a run: as drivers and shadows, and their state over a checkpoint."""

import pytest

from backend.training.checkpoints.files import checkpoint_steps, path_of
from backend.training.loop import train

FEEDBACK = {"name": "direct_feedback_alignment"}
WRAPPED = [
    {"name": "momentum", "inner": FEEDBACK},
    {"name": "stale", "inner": {"name": "momentum"}, "steps": 3},
    {"name": "mean_of_draws", "inner": {"name": "mezo"}},
    {"name": "exact_plus_noise", "noise": "shape", "inner": FEEDBACK},
]


@pytest.mark.parametrize("driver", WRAPPED, ids=lambda one: one["name"])
def test_a_resumed_run_equals_an_undisturbed_one(driver, config, gather, tmp_path):
    shadows = [one for one in WRAPPED if one is not driver]
    settings = config(
        estimator=driver, shadows=shadows, steps=12, probe={"draws": 2, "every": 4},
        optimizer={"name": "sgd", "lr": 0.01},
    )  # fmt: skip
    whole = gather(train(settings, checkpoint_dir=tmp_path / "a"))
    assert whole.ended.status == "finished"
    first = gather(train(settings.model_copy(update={"steps": 7}), checkpoint_dir=tmp_path / "b"))
    assert first.ended.status == "finished"
    assert checkpoint_steps(tmp_path / "b")[-1] == 7
    assert path_of(tmp_path / "b", 7).exists()
    rest = gather(train(settings, checkpoint_dir=tmp_path / "b"))
    assert rest.facts.resumed_at == 7
    measured = {key for key in whole.points if key[0] == "cosine"}
    assert len({estimator for _, _, estimator in measured}) == len(WRAPPED)
    for key in {("train/loss", "", ""), *measured}:
        assert {s: v for s, v in whole.points[key].items() if s >= 7} == rest.points[key], key
