"""Streamed examples: the same batches as in memory, and where examples lie."""

import sys
import threading
from pathlib import Path

import pytest
import torch

from backend.config import RunConfig
from backend.training.batches import Batches
from backend.training.datasets import datasets
from backend.training.examples import room, transfer
from backend.training.examples.file_part import FilePart
from backend.training.examples.part import Part
from backend.training.examples.room import Room
from backend.training.loop import train
from backend.training.records import Points

ParquetImages = datasets()["parquet_images"]


def both(**fields):
    """The training part in memory, and streamed."""
    return [
        ParquetImages("tiny", storage=storage, **fields).load(3).to("cpu").train
        for storage in ("memory", "streamed")
    ]


@pytest.mark.parametrize("normalise", ["channel", "none"])
def test_streamed_batches_are_those_in_memory_bit_for_bit(parquet, normalise):
    parquet()
    memory, streamed = both(normalise=normalise)
    assert (type(memory), type(streamed)) == (Part, FilePart)
    ours, theirs = (Batches(part, 7, seed=0) for part in (memory, streamed))
    for step in [*range(20), 3, 2, 40]:  # three epochs in order, then elsewhere
        for a, b in zip(ours.at(step), theirs.at(step), strict=True):
            assert torch.equal(a, b)
            assert a.dtype == b.dtype


def test_streamed_parts_are_cut_and_joined_as_those_in_memory(parquet):
    parquet()
    sizes = []
    for split in (
        ParquetImages("tiny", storage=s).load(0).to("cpu") for s in ("memory", "streamed")
    ):
        joined = split.train.first(9).then(split.validation.slice(1, 4))
        chunks = list(joined.chunks(5))
        sizes.append([len(y) for _, y in chunks])
        x = torch.cat([x for x, _ in chunks])
        assert torch.equal(x, torch.cat([split.train.x[:9], split.validation.x[1:4]]))
        assert torch.equal(joined.y, torch.cat([split.train.y[:9], split.validation.y[1:4]]))
        assert torch.equal(x, joined.x)
        assert joined.shape == x.shape[1:]
    assert sizes == [[5, 5, 2]] * 2
    with pytest.raises(ValueError, match="parts of one file"):
        split.train.then(split.test)


def test_the_next_batch_is_gathered_by_another_thread(parquet, monkeypatch):
    parquet()
    gathered, gather = [], transfer.Transfer.batch

    def noted(self, rows):
        gathered.append((threading.current_thread().name, rows.tolist()))
        return gather(self, rows)

    monkeypatch.setattr(transfer.Transfer, "batch", noted)
    _, streamed = both()
    batches = Batches(streamed, 7, seed=0)
    for step in range(6):
        batches.at(step)
    batches.at(2)
    streamed._reader.shutdown()
    names = [name.startswith("examples") for name, _ in gathered]
    # The first and the one out of order are gathered when asked for, all others before.
    assert names.count(False) == 2
    assert names.count(True) == 7
    assert len({tuple(rows) for _, rows in gathered}) == 7


def test_an_error_of_the_reading_thread_reaches_the_run(parquet, monkeypatch):
    parquet()
    index = torch.tensor([1, 2])

    def broken(self, rows):
        raise OSError("the file is gone")

    monkeypatch.setattr(transfer.Transfer, "batch", broken)
    other = both()[1]
    other.prefetch(index)
    with pytest.raises(OSError, match="the file is gone"):
        other.take(index)


@pytest.mark.parametrize("augmented", [False, True])
def test_a_run_does_not_depend_on_where_its_examples_lie(parquet, augmented):
    parquet()
    runs = []
    changes = {"shift": 2, "flip": True, "cutout": 2} if augmented else {}
    for storage in ("memory", "streamed"):
        config = RunConfig.model_validate(
            {
                "dataset": {
                    "name": "parquet_images",
                    "folder": "tiny",
                    "storage": storage,
                    **changes,
                },
                "network": {"name": "mlp", "width": 8},
                "estimator": {"name": "backprop"},
                "steps": 30,
                "batch_size": 16,
                "probe": {"every": 16},
            }
        )
        series = {}
        *records, end = train(config)
        assert end.status == "finished", end.error
        for record in records:
            if isinstance(record, Points) and "seconds" not in record.metric:
                key = record.metric, record.layer, record.estimator
                series.setdefault(key, []).extend(zip(record.steps, record.values, strict=True))
        del series["probe/share", "", ""]
        runs.append(series)
    assert runs[0] == runs[1]
    assert len(runs[0]["train/loss", "", ""]) == 30


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_images_are_mapped_from_the_cache_rather_than_read(parquet, home):
    parquet()
    dataset = ParquetImages("tiny", storage="streamed")
    dataset.load(0)
    split = dataset.load(0).to("cpu")
    (cache,) = (home / "cache" / "images").glob("*.safetensors")
    assert str(cache) in Path("/proc/self/maps").read_text()
    assert split.train.stored.data_ptr() == split.validation.stored.data_ptr()


def test_auto_copies_what_takes_less_than_its_share_of_what_is_free(monkeypatch):
    monkeypatch.setattr(room, "free", lambda: 1000)
    assert Room(400).suffices("cpu")
    assert not Room(401).suffices("cpu")
    assert Room(10**9, "memory").suffices("cpu")
    assert not Room(1, "streamed").suffices("cpu")


def test_all_parts_of_a_data_set_are_stored_in_one_way(parquet, monkeypatch):
    parquet()
    size = 58 * 90
    free = iter([size / 0.4 + 1, 0, 0])  # the first copy leaves nothing
    monkeypatch.setattr(room, "free", lambda: next(free))
    split = ParquetImages("tiny").load(0).to("cpu")
    assert [type(part) for part in vars(split).values()] == [Part] * 3


def test_the_memory_of_a_run_counts_one_byte_a_pixel_or_none(parquet):
    parquet()
    need = {s: ParquetImages("tiny", storage=s).bytes_on("cpu") for s in ("memory", "streamed")}
    assert need == {"memory": 58 * (90 + 8), "streamed": 58 * 8}
