"""The loop: what it yields, how it is steered, and how it ends."""

import math
import re
from itertools import pairwise

import pytest
import torch

from backend.training import clock, loop
from backend.training.control import Control
from backend.training.datasets import datasets
from backend.training.loop import train
from backend.training.point_buffer import PointBuffer
from backend.training.records import Ended, Facts, Points, Progress


def test_facts_come_first_and_one_end_last(config):
    records = list(train(config()))
    assert isinstance(records[0], Facts)
    assert records[-1] == Ended("finished", 40)
    assert sum(isinstance(r, Ended) for r in records) == 1


def test_every_flush_ends_with_progress(config):
    records = list(train(config()))
    for record, following in pairwise(records):
        assert not isinstance(record, Points) or isinstance(following, Points | Progress)


def test_a_loss_at_each_step_and_tests_at_the_end(config, gather):
    run = gather(train(config(steps=300)))
    assert list(run.of("train/loss")) == list(range(300))
    for metric in ("loss", "accuracy"):
        assert list(run.of(f"test/{metric}")) == [300]
        steps = list(run.of(f"validation/{metric}"))
        assert steps == [0, 1, 2, *range(4, 300, 4), 300]
    assert run.progress[-1].step == run.progress[-1].steps == 300


def test_epochs_are_whole_batches(config, gather):
    run = gather(train(config(steps=None, epochs=2.5)))
    assert run.ended == Ended("finished", round(2.5 * (120 // 16)))


def test_facts_say_what_an_estimate_of_each_costs(config, gather):
    shadowed = config(
        steps=1, estimator={"name": "backprop"}, shadows=[{"name": "spsa", "pairs": 2}]
    )
    facts = gather(train(shadowed)).facts
    assert facts.cost == {"backprop": 3.0, "spsa(pairs=2)": 5.0}  # the loss itself, and two a pair
    assert facts.unbiased == {"backprop": True, "spsa(pairs=2)": False}


def test_the_table_of_layers(config, gather):
    layers = gather(train(config(steps=1))).facts.layers
    assert layers[0] == {
        "name": "hidden1.linear.weight",
        "stage": "hidden1",
        "shape": [8, 2],
        "count": 16,
        "coverage": "exact",
    }
    assert [row["stage"] for row in layers[::2]] == ["hidden1", "hidden2", "head"]


def test_pause_step_and_resume_at_exact_steps(config, gathered):
    control = Control(run_until=5)
    plan = iter([6, None])
    for record in train(config(), control):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            assert record.step == control.run_until
            assert list(gathered.of("train/loss")) == list(range(record.step))
            control.update(run_until=next(plan))
    assert [(e.step, e.kind) for e in gathered.events] == [(5, "paused"), (6, "paused")]
    assert gathered.ended == Ended("finished", 40)
    assert list(gathered.of("train/loss")) == list(range(40))


def test_a_pause_changes_no_number(config, gather, gathered):
    control = Control(run_until=7)
    for record in train(config(probe={"every": 5}), control):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            control.update(run_until=None)
    assert gathered.curve() == gather(train(config(probe={"every": 5}))).curve()


def test_the_clock_leaves_pauses_out(monkeypatch):
    now = 100.0
    monkeypatch.setattr(clock, "perf_counter", lambda: now)
    watch = clock.Clock()
    now += 5
    with watch.probing():
        now += 2
    with watch.paused():
        now += 1000
        assert watch.total == 7
    now += 1
    assert (watch.total, watch.probes, watch.training) == (8, 2, 6)


def test_a_paused_run_stands_still(config, gathered, monkeypatch):
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0.01)
    control = Control(run_until=3)
    for record in train(config(), control):
        gathered.take(record)
        paused = [p for p in gathered.progress if p.status == "paused"]
        if len(paused) == 20:
            control.update(run_until=None)
    assert len({p.seconds for p in paused}) == 1
    assert len(paused) == 20


@pytest.mark.parametrize(("order", "status"), [("cancel", "cancelled"), ("stop", "stopped")])
def test_cancel_and_stop(order, status, config, gathered, tmp_path):
    control = Control(run_until=4)
    for record in train(config(), control, checkpoint_dir=tmp_path):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            control.update(run_until=None, **{order: True})
    assert gathered.ended == Ended(status, 4)
    assert list(gathered.of("train/loss")) == list(range(4))


def test_a_changed_learning_rate_is_obeyed_and_noted_once(config, gathered):
    control = Control(run_until=8)
    for record in train(config(steps=16), control):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            control.update(run_until=None, changes=[{"id": 1, "lr": 0.5}])
    changes = [e for e in gathered.events if e.kind == "change"]
    assert [(e.step, e.text) for e in changes] == [(8, "learning rate changed from 0.1 to 0.5")]
    rates = gathered.of("train/learning_rate")
    assert rates[7] == 0.1
    assert rates[8] == 0.5


def test_a_broken_loss_is_kept_and_nothing_after_it(config, gather, plugins, tmp_path):
    estimator = {"name": "drifting", "breaks_at": 10}
    folder = tmp_path / "checkpoints"
    run = gather(train(config(estimator=estimator), plugin_dirs=plugins, checkpoint_dir=folder))
    assert run.ended.status == "diverged"
    assert run.ended.step == 11
    said = run.ended.error
    assert said.startswith(
        "the estimate of drifting(breaks_at=10) was not finite at step 10, first"
    )
    assert ".weight: " in said
    assert "it is the estimator that broke" in said
    losses = run.of("train/loss")
    assert math.isnan(losses.pop(11))
    assert list(losses) == list(range(11))
    assert all(map(math.isfinite, losses.values()))
    assert max(step for series in run.points.values() for step in series) == 11
    assert max(int(p.stem[5:]) for p in folder.iterdir()) <= 10


def test_a_broken_guess_is_named(config, gather, plugins, tmp_path):
    estimator = {
        "name": "guess_and_target",
        "guess": "estimator",
        "guesser": {"name": "drifting", "breaks_at": 10},
        "unit": "tensor",
    }
    run = gather(
        train(config(estimator=estimator), plugin_dirs=plugins, checkpoint_dir=tmp_path / "kept")
    )
    assert run.ended.status == "diverged"
    words = r"not finite at step 10, first in \S+, since its guess was not:"
    assert re.search(words, run.ended.error)


def test_a_loss_that_overflows_is_not_laid_to_the_estimator(config, gather, tmp_path):
    run = gather(
        train(
            config(optimizer={"name": "sgd", "lr": 1000.0, "momentum": 0.99}),
            checkpoint_dir=tmp_path,
        )
    )
    assert run.ended.status == "diverged", run.ended.error
    assert "a lower learning rate may help" in run.ended.error
    assert "estimator that broke" not in run.ended.error


def test_weights_that_break_with_the_last_update_diverge(config, gather, plugins):
    estimator = {"name": "drifting", "breaks_at": 39}
    run = gather(train(config(estimator=estimator), plugin_dirs=plugins))
    assert (run.ended.status, run.ended.step) == ("diverged", 40)
    assert list(run.of("train/loss")) == list(range(40))


def test_an_exception_ends_the_run_as_failed_and_keeps_its_points(config, gather, tmp_path):
    (tmp_path / "bad.py").write_text(
        "from dataclasses import dataclass\n"
        "from estimators.feedback.backprop import Backprop\n\n"
        "@dataclass(frozen=True)\n"
        "class Bad(Backprop):\n"
        "    def init(self, objective, params, rng, /):\n"
        "        return 0\n"
        "    def estimate(self, objective, params, state, rng, /):\n"
        "        if state == 3:\n"
        "            raise RuntimeError('three is too many')\n"
        "        return super().estimate(objective, params, state, rng)._replace(state=state + 1)\n"
    )
    run = gather(train(config(estimator={"name": "bad"}), plugin_dirs=[tmp_path]))
    assert (run.ended.status, run.ended.step) == ("failed", 3)
    assert "three is too many" in run.ended.error
    assert (run.progress[-1].step, run.progress[-1].steps) == (3, 40)
    assert list(run.of("train/loss")) == [0, 1, 2]


def test_what_an_estimator_reports_becomes_series(config, gather, plugins):
    run = gather(train(config(estimator={"name": "drifting", "channels": 2}), plugin_dirs=plugins))
    walk = run.of("estimator/walk0", "", "drifting(channels=2)")
    assert list(walk) == list(range(40))
    assert run.facts.plugins.keys() == {"drifting"}


def test_runs_of_one_seed_share_all_but_the_estimators_noise(config, gather):
    exact = gather(train(config()))
    forward = gather(train(config(estimator={"name": "forward_gradient"})))
    assert exact.of("train/loss")[0] == pytest.approx(forward.of("train/loss")[0], rel=1e-6)
    assert exact.of("validation/loss")[0] == forward.of("validation/loss")[0]
    assert gather(train(config())).curve() == exact.curve()
    assert gather(train(config(seed=1))).of("train/loss")[0] != exact.of("train/loss")[0]


def test_the_device_is_read_at_flushes_alone(config, plugins, monkeypatch):
    reads, flushing = [], []

    def watched(name, method):
        def call(self, *args, **kwargs):
            if not flushing:
                reads.append(name)
            return method(self, *args, **kwargs)

        return call

    def allowed(function):
        def call(argument):
            flushing.append(True)
            result = function(argument)
            flushing.pop()
            return result

        return call

    monkeypatch.setattr(PointBuffer, "flush", allowed(PointBuffer.flush))
    # This is read where a checkpoint is written, every ten seconds and at the end.
    monkeypatch.setattr(loop, "nonfinite_weights", allowed(loop.nonfinite_weights))
    run = config(steps=64, estimator={"name": "drifting"}, shadows=[{"name": "drifting"}])
    records = train(run, plugin_dirs=plugins)
    next(records)
    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__"):
        monkeypatch.setattr(torch.Tensor, name, watched(name, getattr(torch.Tensor, name)))
    assert list(records)[-1] == Ended("finished", 64)
    assert reads == []


def test_a_missing_device_is_refused_in_words(config, gather):
    run = gather(train(config(device="cuda:99")))
    assert run.ended.status == "failed"
    assert "device cuda:99 is not on this machine; there are: auto, cpu" in run.ended.error


def test_backprop_learns_the_digits(gather, config):
    run = gather(
        train(
            config(
                dataset={"name": "digits"},
                network={"name": "mlp", "width": 128, "depth": 2},
                optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9},
                steps=1000,
                batch_size=64,
            )
        )
    )
    assert run.of("test/accuracy")[1000] >= 0.96
    assert run.progress[-1].seconds < 30


def test_predictions_of_shown_examples_are_those_of_the_accuracy_and_disturb_nothing(
    config, gather
):
    made = config(shown_examples=64)
    shown, plain = gather(train(made)), gather(train(config()))
    labels = datasets()["two_moons"](examples=200).load(made.seed).validation.y.tolist()
    predictions = [shown.of(f"validation/prediction/{place}") for place in range(len(labels))]
    for step, accuracy in shown.of("validation/accuracy").items():
        hits = [each[step] == label for each, label in zip(predictions, labels, strict=True)]
        assert sum(hits) / len(hits) == pytest.approx(accuracy, rel=1e-6)
    kept = {k: v for k, v in shown.curve().items() if not k[0].startswith("validation/prediction")}
    assert len(shown.curve()) == len(kept) + len(labels)
    assert kept == plain.curve()


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (ValueError("the file is short:\n  two rows\nof ten"), "the file is short:"),
        (KeyError("rows"), "KeyError: 'rows'"),
        (SystemExit("no data"), "SystemExit: no data"),
        (RuntimeError(), "RuntimeError"),
    ],
    ids=["sentence", "class", "exit", "silent"],
)
def test_a_run_that_cannot_be_built_says_why_in_its_first_line(
    config, gather, monkeypatch, error, first
):
    def load(self, seed):
        raise error

    monkeypatch.setattr(datasets()["two_moons"], "load", load)
    run = gather(train(config()))
    assert run.ended.status == "failed"
    sentence, _, rest = run.ended.error.partition("\n\n")
    assert sentence == first
    assert rest.startswith("Traceback (most recent call last):")
