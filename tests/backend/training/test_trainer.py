"""One update: what the optimiser makes of an estimate, and what is left behind."""

import pytest
import torch

from backend.training.batches import Batches
from backend.training.clock import Clock
from backend.training.components.assemble import assemble
from backend.training.point_buffer import PointBuffer
from backend.training.trainer import Trainer

OPTIMIZERS = [
    {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    {"name": "adam", "lr": 0.01},
    {"name": "adamw", "lr": 0.01},
    {"name": "rmsprop", "lr": 0.01},
    {"name": "lars", "lr": 1.0},
    {"name": "frank_wolfe", "lr": 0.1},
]


@pytest.fixture
def made(config):
    def make(optimizer):
        run = config(optimizer=optimizer)
        assembly = assemble(run)
        batches = Batches(assembly.dataset.load(0).train, run.batch_size, 0)
        return assembly, batches, Trainer(assembly, batches.at(0), 40, 0, Clock())

    return make


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o["name"])
def test_an_update_is_the_optimisers_step_bit_for_bit(optimizer, made):
    assembly, batches, trainer = made(optimizer)
    weights = {n: p.clone().requires_grad_() for n, p in trainer.params.items()}
    peer = assembly.optimizer.build(weights.values())
    for step in range(5):
        estimate = trainer.update(step, trainer.objective(batches.at(step), step))
        for name, weight in weights.items():
            weight.grad = estimate.grads[name].clone()
        peer.step()
    assert all(torch.equal(weights[n], p) for n, p in trainer.params.items())


def test_an_update_keeps_no_gradient(made):
    _, batches, trainer = made(OPTIMIZERS[0])
    trainer.update(0, trainer.objective(batches.at(0), 0))
    assert all(p.grad is None for p in trainer.module.parameters())


def test_what_waits_for_a_flush_keeps_no_graph():
    weight = torch.ones((), requires_grad=True)
    pending = PointBuffer("driver")
    pending.add_step(3, weight * 2, {"a": weight * 3, "b": {"layer": weight * 4}, "c": 5})
    pending.add_step(4, weight * 2, {"a": weight * 3, "b": torch.tensor(4)})
    assert not any(v.requires_grad for _, _, row in pending._rows for v in row)
    points, broken = pending.flush()
    found = {(p.metric, p.layer): dict(zip(p.steps, p.values, strict=True)) for p in points}
    assert broken is None
    assert found == {
        ("train/loss", ""): {3: 2.0, 4: 2.0},
        ("estimator/a", ""): {3: 3.0, 4: 3.0},
        ("estimator/b", "layer"): {3: 4.0},
        ("estimator/b", ""): {4: 4.0},
        ("estimator/c", ""): {3: 5.0},
    }
