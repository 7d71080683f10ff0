"""Parts of data sets: what is read is what was stored, and stored pixels change no number."""

from dataclasses import dataclass, replace
from typing import ClassVar
from unittest.mock import patch

import numpy as np
import pytest
import torch

from backend.config import RunConfig
from backend.data_folders.folders import DataError
from backend.training import loop
from backend.training.components.assemble import assemble
from backend.training.datasets import Dataset, Part, Split
from backend.training.datasets.contract import load_checked, stratified
from backend.training.examples.pixels import Pixels, normalising
from backend.training.loop import train
from backend.training.losses.cross_entropy import CrossEntropy
from backend.training.losses.info_nce import InfoNCE
from backend.training.records import Ended, Points


def pixels(count, shape=(3, 5, 4), seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=rng)


def as_before(stored, decode):
    """The float32 images of a data set that keeps no pixels: all scaled at once, in place."""
    x = stored.float().div_(255)
    return x if decode.mean is None else x.sub_(decode.mean).div_(decode.deviation)


@pytest.fixture(params=["normalised", "plain"])
def part(request):
    x = pixels(37)
    decode = normalising(x, torch.arange(37)) if request.param == "normalised" else Pixels()
    return Part(x, torch.arange(37), decode)


def test_a_pixel_has_the_same_float32_however_it_is_read(part):
    whole, index = as_before(part.stored, part.decode), torch.tensor([5, 0, 36, 5])
    assert torch.equal(part.x, whole)
    x, y = part.take(index)
    assert torch.equal(x, whole[index])
    assert y.tolist() == index.tolist()
    assert torch.equal(torch.cat([x for x, _ in part.chunks(7)]), whole)
    assert x.dtype == torch.float32
    assert part.stored.dtype == torch.uint8, "reading must not change what is stored"


def test_parts_are_cut_and_joined_in_order(part):
    assert (len(part), part.shape) == (37, (3, 5, 4))
    assert part.first(4).y.tolist() == [0, 1, 2, 3]
    assert len(part.first(99)) == 37
    joined = part.slice(30, 99).then(part.slice(2, 4))
    assert joined.y.tolist() == [30, 31, 32, 33, 34, 35, 36, 2, 3]
    assert torch.equal(joined.x, part.x[joined.y])
    assert [len(y) for _, y in joined.chunks(4)] == [4, 4, 1]


def test_floats_are_read_without_a_copy_of_the_whole():
    x = torch.randn(8, 2)
    part = Part(x=x, y=torch.arange(8))
    assert part.x is x
    assert part.first(3).x.data_ptr() == x.data_ptr()
    assert next(part.chunks(4))[0].data_ptr() == x.data_ptr()


@dataclass(frozen=True)
class Stored(Dataset):
    """Random images, as pixels or as the float32 numbers that they stand for."""

    floats: bool = False

    shape: ClassVar = (1, 8, 8)
    classes: ClassVar = 3
    training_examples: ClassVar = 90
    description: ClassVar = "random"

    def load(self, seed):
        x, y = pixels(150, self.shape, seed), torch.arange(150) % 3
        decode = normalising(x, torch.arange(90))
        whole = Part(as_before(x, decode), y) if self.floats else Part(x, y, decode)
        return Split(whole.first(90), whole.slice(90, 120), whole.slice(120, 150))


@pytest.mark.parametrize("loss", ["cross_entropy", "info_nce"])
def test_a_run_on_pixels_equals_one_on_floats_bit_for_bit(loss):
    runs = []
    for floats in (False, True):
        config = RunConfig.model_validate(
            {
                "dataset": {"name": "digits"},
                "network": {"name": "mlp", "width": 8},
                "loss": {"name": loss},
                "estimator": {"name": "backprop"},
                "steps": 40,
                "batch_size": 16,
                "probe": {"every": 16},
            }
        )
        assembly = replace(assemble(config), dataset=Stored(floats))
        with patch.object(loop, "assemble", lambda *_, made=assembly: made):
            *records, end = train(config)
        assert isinstance(end, Ended)
        assert end.status == "finished", end.error
        series = {}
        for record in records:
            if isinstance(record, Points) and "seconds" not in record.metric:
                key = record.metric, record.layer, record.estimator
                series.setdefault(key, []).extend(zip(record.steps, record.values, strict=True))
        del series["probe/share", "", ""]
        runs.append(series)
    assert runs[0] == runs[1]
    assert len(runs[0]["train/loss", "", ""]) == 40


def test_arrays_of_numpy_become_the_tensors_that_a_run_takes():
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10, dtype=np.uint8) % 2
    split = stratified(x, y, seed=0)
    assert split.train.x.dtype is torch.float32
    assert split.train.y.dtype is torch.int64
    same = stratified(torch.from_numpy(x).float(), torch.from_numpy(y).long(), 0)
    assert torch.equal(split.train.x, same.train.x)
    assert torch.equal(split.test.y, same.test.y)
    frozen = np.broadcast_to(np.float32(1), (4, 2))
    assert torch.equal(Part(frozen, y[::-1][:4]).x, torch.ones(4, 2))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: stratified([[1.0]], [0], 0), "x is of the type list; a tensor or an array of num"),
        (lambda: Part(torch.ones(1, 2), [0]), "y is of the type list; a tensor or an array of num"),
        (lambda: Part(np.array(["a"]), np.array([0])), "x is an array of the type <U1; a tensor"),
        (
            lambda: stratified(np.ones((4, 2)), np.zeros(3, int), 0),
            r"x has the shape \(4, 2\) and y \(3,\); stratified takes examples \(N, \*shape\) and ",
        ),
        (
            lambda: stratified(np.ones((4, 2)), np.zeros(4, int), 0, 0.5, 0.5),
            "validation is 0.5 and test is 0.5; shares from 0 on with a sum below 1 are allowed",
        ),
        (
            lambda: Split((np.ones(2), np.ones(2)), None, None),
            r"the train part is of the type tuple; a Part is allowed, such as Part\(x, y\)",
        ),
    ],
)
def test_what_is_no_part_is_refused_in_a_sentence(make, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()


@dataclass(frozen=True)
class Alike(Dataset):
    """Two classes are declared, and the examples have one."""

    shape: ClassVar = (2,)
    classes: ClassVar = 2
    description: ClassVar = "Examples of one class."
    training_examples: ClassVar = 6

    def load(self, seed):
        return stratified(np.eye(10, 2), np.ones(10, int), seed)


def test_training_examples_of_one_class_are_refused_where_the_loss_uses_classes():
    with pytest.raises(DataError, match="all 6 training examples of alike have the label 1; train"):
        load_checked(Alike(), 0)
    assert CrossEntropy().uses_classes
    assert not InfoNCE().uses_classes
    assert len(load_checked(Alike(), 0, uses_classes=False).train) == 6
