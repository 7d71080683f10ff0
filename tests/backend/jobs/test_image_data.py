"""The processes of a lab learn where its image data sets lie."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from configs import config
from PIL import Image

from backend.jobs.local_executor import LocalExecutor


@pytest.fixture
def files(lab):
    """A data set of two black and two white images in the lab's home, removed afterwards."""
    folder = lab.home / "datasets" / "tiny"
    folder.mkdir(parents=True)
    images = []
    for shade in (0, 255, 0, 255):
        file = io.BytesIO()
        Image.new("L", (4, 4), shade).save(file, "PNG")
        images.append({"bytes": file.getvalue(), "path": None})
    for part in ("train", "test"):
        pq.write_table(
            pa.table({"image": images, "label": [0, 1, 0, 1]}), folder / f"{part}-0.parquet"
        )
    yield folder
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def on_images():
    dataset = {"name": "parquet_images", "folder": "tiny"}
    return config(dataset=dataset, batch_size=2, steps=2, device="cpu")


def test_a_lab_finds_the_data_sets_of_its_home(lab, files):
    (answer,) = lab.supervisor.validate([on_images()])
    assert answer["errors"] == []
    run = lab.submit(answer["config"])
    lab.becomes(run, "finished", "failed")
    assert lab.status(run) == "finished", lab.describe(run)
    assert list((lab.home / "cache" / "images").iterdir())


def test_a_given_folder_of_data_sets_replaces_that_of_the_home(files, tmp_path):
    elsewhere = LocalExecutor(tmp_path, {"GRADLAB_DATA": str(files.parent)})
    elsewhere.open(lambda _: None)
    try:
        payload = {"kind": "training", "plugins": [], "configs": [on_images()]}
        (answer,) = elsewhere.inspect("validate", payload, 60)
    finally:
        elsewhere.close()
    assert answer["errors"] == []
