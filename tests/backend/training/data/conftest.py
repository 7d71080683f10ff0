"""Small data sets in files, and a home of their own."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_HOME", str(tmp_path))
    monkeypatch.delenv("GRADLAB_DATA", raising=False)
    return tmp_path


def pixels(count, shape=(6, 5, 3), seed=0):
    """Images (N, H, W, C), or (N, H, W) grey ones, of random bytes."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def parquet(home):
    """Writes a data set of 3 classes as on the hub: 50 training and 8 test images."""

    def write(name="tiny", shape=(6, 5, 3)):
        folder = home / "datasets" / name
        folder.mkdir(parents=True)
        for part, count, seed in (("train", 50, 0), ("test", 8, 1)):
            images = [{"bytes": png(x), "path": None} for x in pixels(count, shape, seed)]
            labels = pa.array([i % 3 for i in range(count)], pa.int64())
            table = pa.table({"image": pa.array(images, STRUCT), "label": labels})
            pq.write_table(table, folder / f"{part}-00000-of-00001.parquet")
        return folder

    return write
