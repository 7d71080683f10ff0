"""Data of MNIST's size: on the device from the cache, and steps on streamed images"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from backend.training.batches import Batches
from backend.training.datasets.contract import Split
from backend.training.datasets.image_set import ImageSet
from backend.training.examples.room import Storage
from backend.training.networks.local_mixer import LocalMixer
from benchmarks.table import Row, interleaved
from estimators import stream

BATCH = 100
LOADS = 5
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Random:
    """Random pixels in the shape and number of MNIST."""

    name = "random"
    shape = (1, 28, 28)
    classes = 10
    counts: ClassVar = {"train": 60_000, "test": 10_000}
    fingerprint = "0" * 16

    def labels(self, part: str) -> np.ndarray:
        return np.arange(self.counts[part]) % self.classes

    def images(self, part: str) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        yield from rng.integers(0, 256, (self.counts[part], *self.shape), np.uint8)


@dataclass(frozen=True)
class RandomImages(ImageSet):
    """Random pixels, with or without a copy in memory."""

    @property
    def _files(self) -> Random:
        return Random()


def rows() -> list[Row]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, GRADLAB_HOME=home):
        RandomImages().load(0)  # decodes, and keeps what it decoded
        return [_from_cache(), *(_streamed(augmented) for augmented in (False, True))]


def _from_cache() -> Row:
    """Everything but imports: read the cache, split, normalise, copy to the device."""
    took = []
    for seed in range(LOADS):
        start = time.perf_counter()
        _on_device(RandomImages(storage="memory"), seed)
        took.append(time.perf_counter() - start)
    return Row(f"70,000 images on {DEVICE}", max(took), 3.0, "s", note=f"slowest of {LOADS} loads")


def _streamed(augmented: bool) -> Row:
    """An update of LocalMixer S/1/1 with backprop, its batch included."""
    memory, streamed = (_steps(storage, augmented) for storage in ("memory", "streamed"))
    peer, ours = interleaved(memory, streamed, rounds=15, inner=20, warm=1)
    what = "streamed step, augmented" if augmented else "streamed step"
    return Row(what, ours / peer, 1.1, note=f"{ours * 1e3:.2f} ms beside {peer * 1e3:.2f} ms")


def _steps(storage: Storage, augmented: bool) -> Callable[[], None]:
    dataset = RandomImages(storage=storage, shift=2 * augmented, cutout=4 * augmented)
    batches = Batches(
        _on_device(dataset, 0).train, BATCH, 0, dataset.augment and _prepare(dataset.augment)
    )
    network = LocalMixer(size="S/1/1")
    module = network.build(dataset.shape, dataset.classes, stream(0, "init")).to(DEVICE)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    step = 0

    def update() -> None:
        nonlocal step
        x, y = batches.at(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
        step += 1
        if DEVICE != "cpu":
            torch.cuda.synchronize()

    return update


def _prepare(augment: Callable) -> Callable:
    return lambda x, y, rng: (augment(x, rng), y)


def _on_device(dataset: ImageSet, seed: int) -> Split:
    split = dataset.load(seed).to(DEVICE)
    if DEVICE != "cpu":
        torch.cuda.synchronize()
    return split
