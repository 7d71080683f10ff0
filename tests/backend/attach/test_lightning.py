"""The callback of PyTorch Lightning, in a real trainer."""

import signal

import pytest
import torch
from torch import nn

import gradlab

pl = pytest.importorskip("lightning.pytorch", reason="the extra gradlab[lightning] is missing")
from gradlab.integrations.lightning import GradLabCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")
"""Its advice on workers and progress bars."""


class Classifier(pl.LightningModule):
    fails_at, error = -1, ZeroDivisionError("on purpose")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, index):
        if self.global_step == self.fails_at:
            raise self.error
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_metric", 2 * loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def data():
    rng = torch.Generator().manual_seed(0)
    pairs = torch.randn(24, 4, generator=rng), torch.randint(3, (24,), generator=rng)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*pairs), batch_size=4)


def fit(module, callback, tmp_path, **more):
    trainer = pl.Trainer(
        max_steps=8, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        callbacks=[callback], **more,
    )  # fmt: skip
    trainer.fit(module, data())
    return trainer


def callback(lab, module, **more):
    return GradLabCallback(
        nn.CrossEntropyLoss(), [gradlab.SPSA()], model=module.net, home=lab.home.path, draws=2,
        every=4, **more,
    )  # fmt: skip


def test_a_trainer_reports_its_run(lab, tmp_path):
    module = Classifier()
    made = callback(lab, module, name="lightning")
    fit(module, made, tmp_path)
    lab.attached.look()
    row = lab.store.run(made.run.id)
    assert (row.name, row.status, row.steps) == ("lightning", "finished", 8)
    losses = lab.points(row.id, "train/loss")
    assert [s for s, _ in losses] == [*range(8)]
    assert lab.points(row.id, "log/train_metric") == [
        (s, pytest.approx(2 * loss, rel=1e-6)) for s, loss in losses
    ]
    assert [s for s, _ in lab.points(row.id, "cosine", "3.weight", "spsa")] == [0, 4]


def test_the_training_is_the_same_as_without(lab, tmp_path):
    torch.manual_seed(7)
    fit(alone := Classifier(), pl.Callback(), tmp_path)
    torch.manual_seed(7)
    module = Classifier()
    fit(module, callback(lab, module), tmp_path)
    for name, p in alone.named_parameters():
        assert torch.equal(p, dict(module.named_parameters())[name]), name


def test_accumulated_batches_are_one_step(lab, tmp_path):
    module = Classifier()
    made = callback(lab, module)
    fit(module, made, tmp_path, accumulate_grad_batches=3)
    lab.attached.look()
    assert [s for s, _ in lab.points(made.run.id, "train/seconds")][-1] <= 8
    assert lab.store.run(made.run.id).step == 8


def test_a_failure_ends_the_run_with_its_traceback(lab, tmp_path):
    module = Classifier()
    module.fails_at = 5
    made = callback(lab, module)
    with pytest.raises(ZeroDivisionError):
        fit(module, made, tmp_path)
    lab.attached.look()
    row = lab.store.run(made.run.id)
    assert row.status == "failed"
    assert "on purpose" in row.error


def test_an_interrupt_cancels_the_run(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *given: None)  # the trainer ignores later ones
    module = Classifier()
    module.fails_at, module.error = 5, KeyboardInterrupt()
    made = callback(lab, module)
    with pytest.raises(SystemExit):
        fit(module, made, tmp_path)
    lab.attached.look()
    row = lab.store.run(made.run.id)
    assert (row.status, row.step) == ("cancelled", 6)


def test_a_cancelled_run_stops_the_trainer(lab, tmp_path):
    module = Classifier()
    made = callback(lab, module)

    class Cancels(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, index):
            if trainer.global_step == 3:
                made.run._control.update(cancel=True)

    trainer = pl.Trainer(
        max_steps=8, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        callbacks=[made, Cancels()],
    )  # fmt: skip
    trainer.fit(module, data())
    assert trainer.global_step < 8
    lab.attached.look()
    assert lab.store.run(made.run.id).status == "cancelled"
