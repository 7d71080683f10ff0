"""Residual networks: an update of the training loop with exact backprop beside one by hand"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import process_time
from typing import ClassVar, Literal

import torch
from torch import nn

from backend.config import RunConfig
from backend.training.batches import Batches
from backend.training.clock import Clock
from backend.training.components.assemble import assemble
from backend.training.datasets.contract import Dataset, Part, Split
from backend.training.networks.resnet import ResNet
from backend.training.point_buffer import PointBuffer
from backend.training.trainer import Trainer
from benchmarks.table import Row, interleaved
from estimators import stream

Normalisation = Literal["batch", "group"]

BATCH, ROUNDS = 32, 7
BUDGET = 1.05
LR, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4


@dataclass(frozen=True)
class Images(Dataset):
    """Normal noise in the shape of CIFAR-10."""

    shape: ClassVar[tuple[int, ...]] = (3, 32, 32)
    classes: ClassVar[int] = 10
    description: ClassVar[str] = "normal noise"  # type: ignore[misc], the same for all
    training_examples: ClassVar[int] = 8 * BATCH  # type: ignore[misc], the same for all

    def load(self, seed: int) -> Split:
        rng, count = stream(seed, "data"), self.training_examples
        x = torch.randn(count, *self.shape, generator=rng)
        part = Part(x, torch.randint(self.classes, (count,), generator=rng))
        return Split(part, part, part)


def rows() -> list[Row]:
    torch.set_num_threads(1)
    return [updates(normalisation) for normalisation in ("batch", "group")]


def updates(normalisation: Normalisation) -> Row:
    """An update of ResNet-18, 8 blocks, 32×32, batch 32; evaluation is not in it."""
    ours, peer = (make(normalisation) for make in (_lab, _by_hand))
    peer_seconds, seconds = interleaved(peer, ours, rounds=ROUNDS, warm=1, clock=process_time)
    return Row(
        f"ResNet-18, {normalisation} normalisation",
        seconds / peer_seconds,
        BUDGET,
        note=f"{seconds * 1e3:.0f} ms beside {peer_seconds * 1e3:.0f} ms",
    )


def _lab(normalisation: Normalisation) -> Callable[[], None]:
    """What the loop does between two flushes."""
    optimizer = {"name": "sgd", "lr": LR, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY}
    config = RunConfig.model_validate(
        {
            "dataset": {"name": "digits"},
            "network": {"name": "resnet", "width": 64, "normalisation": normalisation},
            "estimator": {"name": "backprop"},
            "optimizer": optimizer,
            "steps": 1000,
            "batch_size": BATCH,
        }
    )
    assembly = replace(assemble(config), dataset=Images())
    batches = assembly.batches(Images().load(0).train, BATCH, 0)
    trainer = Trainer(assembly, batches.at(0), config.steps or 0, 0, Clock())
    buffer, step = PointBuffer(trainer.roles.driver.label), 0

    def update() -> None:
        nonlocal step
        estimate = trainer.update(step, trainer.objective(batches.at(step), step))
        buffer.add_step(step, estimate.loss, estimate.info)
        step += 1

    return update


def _by_hand(normalisation: Normalisation) -> Callable[[], None]:
    module = ResNet(width=64, normalisation=normalisation).build(
        Images.shape, Images.classes, stream(0, "init")
    )
    batches, step = Batches(Images().load(0).train, BATCH, 0), 0
    optimizer = torch.optim.SGD(
        module.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )

    def update() -> None:
        nonlocal step
        x, y = batches.at(step)
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
        step += 1

    return update
