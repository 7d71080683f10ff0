"""Parts of data sets: what is read is what was stored, and stored pixels change no number."""

from dataclasses import dataclass, replace
from typing import ClassVar
from unittest.mock import patch

import pytest
import torch

from backend.config import RunConfig
from backend.training import loop
from backend.training.components.assemble import assemble
from backend.training.datasets import Dataset, Part, Split
from backend.training.examples.pixels import Pixels, normalising
from backend.training.loop import train
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
