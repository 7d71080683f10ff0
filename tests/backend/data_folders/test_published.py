"""Whether decoded images are the published ones: a small set takes the place of MNIST."""

from hashlib import md5, sha256

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.data_folders.folders import DataError
from backend.data_folders.manifest import FILE, Manifest, Stored, checksum
from backend.training.image_files import published
from backend.training.image_files.cache import images
from backend.training.image_files.parquet import image_files
from backend.training.image_files.published import Published, compare
from tests.backend.data_folders.fake_hub import parquet


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data set whose published files are known."""
    monkeypatch.setenv("GRADLAB_HOME", str(tmp_path))
    monkeypatch.delenv("GRADLAB_DATA", raising=False)
    made = tmp_path / "datasets" / "small"
    made.mkdir(parents=True)
    for part, count in (("train", 12), ("test", 5)):
        (made / f"{part}-0.parquet").write_bytes(parquet(count, seed=count))
    stated = {}
    for part, (x, y) in images(image_files("small")).items():
        x, y = x.numpy()[:, 0], y.numpy().astype(np.uint8)
        count = len(y).to_bytes(4, "big")
        idx = b"\0\0\x08\x03" + count + b"\0\0\0\x04\0\0\0\x04" + x.tobytes()
        labels = b"\0\0\x08\x01" + count + y.tobytes()
        rows = sorted(bytes([*image.ravel(), label]) for image, label in zip(x, y, strict=True))
        sums = [md5(content).hexdigest() for content in (idx, labels)]
        stated[part] = Published(*sums, sha256(b"".join(rows)).hexdigest())
    monkeypatch.setitem(published.PUBLISHED, "small", stated)
    return made


def test_the_published_images_are_recognised_in_their_order(folder):
    assert compare("small") == (
        "all 17 images and labels of small are the published ones, in the published order"
    )


def test_another_order_and_another_pixel_are_told_from_each_other(folder):
    import pyarrow.parquet as pq

    path = folder / "train-0.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take([*range(1, 12), 0]), path)
    assert compare("small").endswith("are the published ones, in another order")
    path.write_bytes(parquet(12, seed=99))
    with pytest.raises(DataError, match="train images or labels of small are not the published"):
        compare("small")


def test_the_command_compares_files_with_their_manifest_first(folder):
    files = {p.name: Stored(p.stat().st_size, checksum(p)) for p in folder.glob("*.parquet")}
    Manifest("someone/small", "default", "0", files).write(folder)
    result = CliRunner().invoke(app, ["data", "check", "small"])
    assert result.exit_code == 0, result.output
    assert "2 files are those of someone/small" in result.output
    (folder / "test-0.parquet").write_bytes(parquet(5, seed=1))
    result = CliRunner().invoke(app, ["data", "check", "small"])
    assert result.exit_code == 1
    (folder / FILE).write_text("no JSON")
    result = CliRunner().invoke(app, ["data", "check", "small"])
    assert result.exit_code == 1, "without a manifest, the pixels are compared"
    listed = CliRunner().invoke(app, ["data", "list"])
    assert "fashion_mnist" in listed.output
    assert "small" in listed.output
