"""The callback of Hugging Face's Trainer, in a real one, on a tiny language model."""

import os
from contextlib import nullcontext

import pytest
import torch

import gradlab

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip(
    "transformers", reason="the extra gradlab[transformers] is missing"
)
pytest.importorskip("accelerate", reason="the extra gradlab[transformers] is missing")
from gradlab.integrations.transformers import GradLabCallback  # noqa: E402

LENGTH = 6


def model():
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=LENGTH, n_embd=8, n_layer=1, n_head=2,
        attn_implementation="eager",
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def rows():
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(11, (16, LENGTH), generator=rng)
    return [{"input_ids": row, "labels": row} for row in ids]


def fit(net, callback, tmp_path, **more):
    trainer = made_trainer(net, [callback] if callback else [], tmp_path, **more)
    trainer.train()
    return trainer


def made_trainer(net, callbacks, tmp_path, **more):
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=6, per_device_train_batch_size=4,
        logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
        seed=3, dataloader_pin_memory=False, **more,
    )  # fmt: skip
    return transformers.Trainer(net, arguments, train_dataset=rows(), callbacks=callbacks)


def callback(lab, **more):
    return GradLabCallback(
        [gradlab.Backprop(), gradlab.SPSA()], home=lab.home.path, draws=2, every=3, **more
    )


def test_a_trainer_reports_its_run(lab, tmp_path):
    made = callback(lab, name="language")
    trainer = fit(model(), made, tmp_path)
    lab.attached.look()
    row = lab.store.run(made.run.id)
    assert (row.name, row.status, row.step, row.steps) == ("language", "finished", 6, 6)
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert [v for _, v in lab.points(row.id, "train/loss")] == pytest.approx(logged)
    name = "transformer.h.0.attn.c_attn.weight"
    assert [s for s, _ in lab.points(row.id, "cosine", name, "backprop")] == [0, 3]
    assert [v for _, v in lab.points(row.id, "cosine", "", "backprop")] == pytest.approx([1, 1])


def test_the_training_is_the_same_as_without(lab, tmp_path):
    fit(alone := model(), None, tmp_path)
    fit(net := model(), callback(lab), tmp_path)
    for name, p in alone.named_parameters():
        assert torch.equal(p, dict(net.named_parameters())[name]), name
    assert not net._forward_pre_hooks


def test_accumulated_batches_are_one_step(lab, tmp_path):
    made = callback(lab)
    fit(model(), made, tmp_path, gradient_accumulation_steps=2)
    lab.attached.look()
    assert lab.store.run(made.run.id).step == 6
    assert [s for s, _ in lab.points(made.run.id, "cosine", "", "spsa")] == [0, 3]


class Fails(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize("in_a_block", [True, False])
def test_a_training_that_fails_fails_its_run(lab, tmp_path, in_a_block):
    """A trainer tells no callback of it; the next training or the end of the script does."""
    made, net = GradLabCallback(home=lab.home.path), model()
    trainer = made_trainer(net, [made, Fails()], tmp_path)
    with pytest.raises(ZeroDivisionError), made if in_a_block else nullcontext():
        trainer.train()
    failed = made.run.id
    if not in_a_block:
        trainer.pop_callback(Fails)
        trainer.train()
    lab.attached.look()
    row = lab.store.run(failed)
    why = "ZeroDivisionError: on purpose" if in_a_block else "ended at step 3 of 6"
    assert row.status == "failed"
    assert why in row.error
    assert not net._forward_pre_hooks
    assert lab.store.run(made.run.id).status == ("failed" if in_a_block else "finished")


def test_a_cancelled_run_stops_the_trainer(lab, tmp_path):
    made = callback(lab)

    class Cancels(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 2:
                made.run._control.update(cancel=True)

    trainer = made_trainer(model(), [made, Cancels()], tmp_path)
    trainer.train()
    assert trainer.state.global_step < 6
    lab.attached.look()
    assert lab.store.run(made.run.id).status == "cancelled"
