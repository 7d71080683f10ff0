"""A run that ends with a loss or weights that are of no use says so, also where they are finite."""

import pytest
import torch

from backend.training import checkpointing, loop
from backend.training.checkpoints import format
from backend.training.checkpoints.files import checkpoint_steps, path_of
from backend.training.control import Control
from backend.training.divergence import EndOfLosses
from backend.training.evaluation.evaluation import Evaluation
from backend.training.loop import train
from backend.training.records import Progress

ROSENBROCK = {
    "dataset": {"name": "surface", "function": "rosenbrock"},
    "network": {"name": "point"},
    "batch_size": 1,
}


def test_a_loss_of_1e23_at_the_end_has_diverged(config, gather):
    """Three steps that are far too long leave every number finite."""
    lengths = config(steps=3, optimizer={"name": "sgd", "lr": 1000.0})
    run = gather(train(lengths))
    assert run.ended.status == "diverged"
    assert run.of("test/loss")[3] > 100 * run.of("validation/loss")[0]
    assert "times its first value" in run.ended.error
    assert run.ended.error.endswith("; a lower learning rate may help")


def losses(monkeypatch, last: float) -> None:
    """The validation loss is 2, and `last` after the last of 40 steps."""

    def along(self, step):
        yield "validation/loss", torch.tensor(2.0 if step < 40 else last)

    monkeypatch.setattr(Evaluation, "along", along)


@pytest.mark.parametrize(
    ("last", "status", "events"),
    [(0.1, "finished", 0), (19.0, "finished", 0), (21.0, "finished", 1), (199.0, "finished", 1),
     (201.0, "diverged", 0), (3.8e23, "diverged", 0), (float("nan"), "diverged", 0)],
)  # fmt: skip
def test_a_loss_that_jumps_at_the_last_step(last, status, events, config, gather, monkeypatch):
    losses(monkeypatch, last)
    run = gather(train(config()))
    assert run.ended.status == status
    assert [e.kind for e in run.events] == ["finding"] * events
    for text in (e.text for e in run.events):
        assert text == (
            f"the validation loss was {last:.3g} at the end, {last / 2:.3g} times its first value "
            "(2); a lower learning rate may help"
        )


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e30])
def test_a_test_loss_of_no_use_is_no_success(broken, config, gather, monkeypatch):
    monkeypatch.setattr(
        Evaluation, "last", lambda self: iter([("test/loss", torch.tensor(broken))])
    )
    run = gather(train(config()))
    assert (run.ended.status, run.ended.step) == ("diverged", 40)
    said = "the test loss was 1e+30 at the end" if broken == 1e30 else "the loss was not finite"
    assert run.ended.error.startswith(said)


def test_a_run_that_begins_at_its_minimum_has_not_diverged(config, gather):
    at_rest = {**ROSENBROCK, "dataset": {"name": "surface", "function": "rosenbrock"}}
    run = gather(train(config(**at_rest, steps=20, optimizer={"name": "sgd", "lr": 1e-5})))
    assert run.ended.status == "finished"
    ends = EndOfLosses()
    for value in (1e-12, 1e-9):
        ends.add(_points("train/loss", value))
    assert ends.rise < 1


def _points(metric, value):
    import numpy as np

    from backend.series.points import Points

    return Points(metric, "", "", "", np.array([0]), np.array([value]))


BROKEN_WEIGHT = "hidden1.linear.bias"


def break_a_weight(monkeypatch, at: int) -> None:
    """From that step on a weight is NaN that no loss tells of."""
    estimate, apply = loop.Trainer.estimate, loop.Trainer.apply

    def estimating(self, step, objective):
        return estimate(self, step, objective)._replace(loss=torch.tensor(1.0))

    def applying(self, step, objective, estimate):
        apply(self, step, objective, estimate)
        if step == at:
            self.params[BROKEN_WEIGHT][0] = float("nan")

    monkeypatch.setattr(loop.Trainer, "estimate", estimating)
    monkeypatch.setattr(loop.Trainer, "apply", applying)
    monkeypatch.setattr(
        Evaluation, "along", lambda self, step: iter([("validation/loss", torch.tensor(1.0))])
    )
    monkeypatch.setattr(Evaluation, "last", lambda self: iter([("test/loss", torch.tensor(1.0))]))


def test_a_weight_that_is_not_finite_behind_a_finite_loss(config, gather, monkeypatch, tmp_path):
    monkeypatch.setattr(checkpointing, "MAX_SHARE", -1.0)  # none but the first and the last one
    break_a_weight(monkeypatch, at=30)
    run = gather(train(config(), checkpoint_dir=tmp_path))
    assert (run.ended.status, run.ended.step) == ("diverged", 40)
    # The cause: the estimate of the step after, which backprop made of that weight.
    assert "the estimate of backprop was not finite at step 31" in run.ended.error
    assert max(checkpoint_steps(tmp_path)) <= 30  # none with a weight of no use


def test_it_is_seen_at_the_next_checkpoint(config, gather, monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    break_a_weight(monkeypatch, at=10)
    run = gather(train(config(), checkpoint_dir=tmp_path))
    assert (run.ended.status, run.ended.step) == ("diverged", 11)
    assert run.ended.error == (
        f"{BROKEN_WEIGHT} was not finite at step 11; a lower learning rate may help"
    )
    assert run.progress[-1].step == 11
    assert checkpoint_steps(tmp_path)[-1] == 10


def test_the_first_losses_outlive_a_resume(config, gather, gathered, tmp_path, monkeypatch):
    control = Control(run_until=20)
    for record in train(config(), control, checkpoint_dir=tmp_path):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            control.update(run_until=20, stop=True)
    first = format.read(path_of(tmp_path, 20))["first losses"]
    assert first == {metric: gathered.of(metric)[0] for metric in ("train/loss", "validation/loss")}
    losses(monkeypatch, 1e6)
    rest = gather(train(config(), checkpoint_dir=tmp_path))
    assert rest.ended.status == "diverged"
    assert f"its first value ({first['validation/loss']:.3g})" in rest.ended.error
