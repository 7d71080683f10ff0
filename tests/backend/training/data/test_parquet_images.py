"""Images from Parquet files: what is read, what is refused, and the images that are kept."""

import io
import json
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from backend.catalogue import catalogue, validate
from backend.data_folders.folders import DataError
from backend.training.datasets import datasets
from backend.training.image_files import cache, parquet
from backend.training.loop import train

ParquetImages = datasets()["parquet_images"]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pixels(count, shape=(6, 5, 3), seed=0):
    """Images (N, H, W, C), or (N, H, W) grey ones, of random bytes."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def png(array, mode=None):
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, "PNG")
    return file.getvalue()


def write(path, images, labels, column="image", names=None, kind=None):
    """A file as on the hub; `images` are bytes, or None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        image if isinstance(image, dict) else {"bytes": image, "path": None} for image in images
    ]
    columns = {} if column is None else {column: pa.array(rows, STRUCT)}
    if labels is not None:
        columns["label"] = pa.array(labels, kind or pa.int64())
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    pq.write_table(table, path)


def kept(home):
    """The files of decoded images, and what was left beside them but locks."""
    return [p for p in (home / "cache" / "images").iterdir() if p.suffix != ".lock"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_HOME", str(tmp_path))
    monkeypatch.delenv("GRADLAB_DATA", raising=False)
    return tmp_path


@pytest.fixture
def tiny(home):
    """50 training images in two files, 8 test images; three classes of unequal size."""
    folder = home / "datasets" / "tiny"
    x, test = pixels(50), pixels(8, seed=1)
    y, test_y = [0] * 25 + [1] * 15 + [2] * 10, [0, 1, 2, 0, 1, 2, 0, 1]
    write(folder / "train-00000-of-00002.parquet", map(png, x[:30]), y[:30])
    write(folder / "train-00001-of-00002.parquet", map(png, x[30:]), y[30:])
    write(folder / "test-00000-of-00001.parquet", map(png, test), test_y)
    return {"folder": folder, "x": x, "y": y, "test": test, "test_y": test_y}


def scaled(images):
    """(N, H, W, C) bytes as (N, C, H, W) in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def places(part, x):
    """The index of each image of a part in the files."""
    same = (part.x.flatten(1)[:, None] == scaled(x).flatten(1)[None]).all(2)
    assert (same.sum(1) == 1).all()
    return same.int().argmax(1).tolist()


def test_the_files_are_described_without_decoding_them(tiny, monkeypatch):
    monkeypatch.setattr(parquet, "rows", None)
    dataset = ParquetImages("tiny", validation=0.2)
    assert (dataset.shape, dataset.classes, dataset.training_examples) == ((3, 6, 5), 3, 40)
    assert "50 training and 8 test images of 3×6×5 pixels in 3 classes" in dataset.description
    assert ParquetImages("tiny", training=12).training_examples == 12


def test_every_image_keeps_its_pixels_and_its_label(tiny):
    split = ParquetImages("tiny", normalise="none", validation=0.2).load(0)
    assert torch.equal(split.test.x, scaled(tiny["test"]))
    assert split.test.y.tolist() == tiny["test_y"]
    train, validation = places(split.train, tiny["x"]), places(split.validation, tiny["x"])
    assert sorted(train + validation) == list(range(50))
    assert [tiny["y"][i] for i in train] == split.train.y.tolist()
    assert [tiny["y"][i] for i in validation] == split.validation.y.tolist()
    assert split.validation.y.bincount().tolist() == [5, 3, 2]
    assert (split.train.x.dtype, split.train.y.dtype) == (torch.float32, torch.int64)


def test_the_seed_fixes_the_validation_part_and_leaves_the_test_part(tiny):
    first, again, other = (ParquetImages("tiny", normalise="none").load(s) for s in (3, 3, 4))
    assert torch.equal(first.validation.x, again.validation.x)
    assert torch.equal(first.train.x, again.train.x)
    assert not torch.equal(first.validation.x, other.validation.x)
    assert torch.equal(first.test.x, other.test.x)


def test_fewer_training_images_are_the_first_ones_class_by_class(tiny):
    whole = ParquetImages("tiny", normalise="none", validation=0.2).load(0)
    few = ParquetImages("tiny", normalise="none", validation=0.2, training=20).load(0)
    assert few.train.y.bincount().tolist() == [10, 6, 4]
    assert torch.equal(few.train.x, whole.train.x[:20])
    assert torch.equal(few.validation.x, whole.validation.x)


def test_channels_are_scaled_by_the_training_part_alone(tiny):
    plain, split = (
        ParquetImages("tiny", normalise=n, validation=0.2, training=20).load(0)
        for n in ("none", "channel")
    )
    x = plain.train.x.double()
    mean, deviation = x.mean((0, 2, 3)), x.std((0, 2, 3), correction=0)
    for part, same in zip(vars(split).values(), vars(plain).values(), strict=True):
        wanted = (same.x.double() - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1)
        # Four roundings of numbers of size 1 to 4: x/255, mean, difference, quotient.
        torch.testing.assert_close(part.x.double(), wanted, atol=4 * 4 * 2**-23, rtol=0)


def test_grey_images_have_one_channel_and_a_constant_one_is_not_divided_by_zero(home):
    folder = home / "datasets" / "grey"
    x = np.full((10, 4, 4), 51, np.uint8)
    for part in ("train", "test"):
        write(folder / f"{part}-0.parquet", map(png, x), [0, 1] * 5, column="img")
    split = ParquetImages("grey").load(0)
    assert split.train.x.shape == (9, 1, 4, 4)
    # The mean is rounded once to float32, and so is 51 / 255.
    assert split.train.x.abs().max() <= 2**-24


def test_grey_images_among_coloured_ones_become_coloured(home):
    folder, x = home / "datasets" / "mixed", pixels(4)
    grey = np.array(Image.fromarray(x[1]).convert("L"))
    content = [png(x[0]), png(grey), png(x[2], "P"), png(x[3], "RGBA")]
    for part in ("train", "test"):
        write(folder / f"{part}-0.parquet", content, [0, 1, 0, 1])
    split = ParquetImages("mixed", normalise="none").load(0)
    assert torch.equal(split.test.x[1], (torch.from_numpy(grey).float() / 255).expand(3, 6, 5))
    assert torch.equal(split.test.x[3], scaled(x[3:])[0])


def test_class_names_in_the_file_count_classes_that_no_image_has(home):
    for part in ("train", "test"):
        path = home / "datasets" / "named" / f"{part}-0.parquet"
        write(path, map(png, pixels(4)), [0, 1, 0, 1], names=["ant", "bee", "cat"])
    assert ParquetImages("named").classes == 3


def test_another_folder_of_data_sets_can_be_set(tiny, home, monkeypatch):
    monkeypatch.setenv("GRADLAB_DATA", str(tiny["folder"].parent))
    monkeypatch.setenv("GRADLAB_HOME", str(home / "elsewhere"))
    assert ParquetImages("tiny").load(0).test.y.tolist() == tiny["test_y"]
    assert list((home / "elsewhere" / "cache" / "images").iterdir())


# Refusals


def run_on(**dataset):
    return {
        "dataset": {"name": "parquet_images", **dataset},
        "network": {"name": "mlp"},
        "estimator": {"name": "backprop"},
        "batch_size": 4,
        "device": "cpu",
    }


def refusal(*field, **dataset):
    (error,) = validate(run_on(**dataset))["errors"]
    assert error["loc"] == ["dataset", *field]
    return error["msg"]


@pytest.mark.parametrize("name", ["../tiny", "a/b", "..", ".", "/etc", "tiny/../tiny", "x..y", "ü"])
def test_a_path_is_no_name(tiny, name):
    assert "it must be a name" in refusal("folder", folder=name)


def test_a_folder_that_is_missing_is_answered_with_those_there_are(tiny):
    said = refusal("folder", folder="tinny")
    assert "there is no data set 'tinny'; did you mean 'tiny'? " in said
    assert said.endswith("datasets has tiny")
    assert refusal("folder", folder="").startswith("no folder is chosen: ")


def test_a_lab_without_data_sets_says_what_a_data_set_is(home):
    said = refusal("folder")
    assert "has no folder with files train-*.parquet and test-*.parquet" in said
    assert catalogue()["failures"] == []


def test_more_training_images_than_there_are_are_refused(tiny):
    assert refusal("training", folder="tiny", training=46).startswith(
        "training is 46; tiny has 45 examples"
    )
    assert validate(run_on(folder="tiny", training=45))["errors"] == []


def test_the_form_offers_the_data_sets(tiny):
    (entry,) = (e for e in catalogue()["datasets"] if e["name"] == "parquet_images")
    folder = entry["schema"]["properties"]["folder"]
    assert (folder["enum"], folder["default"]) == (["tiny"], "tiny")


IMAGES = [png(x) for x in pixels(4)]
BROKEN = {
    "no test file": ({"part": "train"}, "the data set bad has no file test-*.parquet"),
    "no image column": ({"column": "picture"}, "no column image or img; it has picture, label"),
    "no label column": ({"labels": None}, "has no column label; it has image"),
    "no label": ({"labels": [0, None, 1, 0]}, "row 1 of train-0.parquet of the data set bad has"),
    "text as labels": ({"labels": list("abab"), "kind": pa.string()}, "must be of integers"),
    "from 1": ({"labels": [1, 2, 1, 2]}, "from 1 to 2, and no training example has the label 0"),
    "a gap": ({"labels": [0, 1, 3, 3]}, "no training example has the label 2"),
    "a large gap": ({"labels": [0, 1, 2, 10**15]}, "no training example has the label 3"),
    "negative": ({"labels": [-1, 0, 1, 0]}, "the labels of the data set bad run from -1 to 1;"),
    "one class": ({"labels": [0, 0, 0, 0]}, "they must be 0 … C − 1 for C ≥ 2 classes"),
    "more than named": (
        {"labels": [0, 1, 2, 0], "names": ["a", "b"]}, "from 0 to 2, and its file names 2 classes",
    ),
    "empty": ({"images": [], "labels": []}, "the train part of the data set bad is empty"),
    "no first image": ({"images": [None, *IMAGES[1:]]}, "row 0 of train-0.parquet of the data set"),
}  # fmt: skip


@pytest.mark.parametrize(("broken", "said"), BROKEN.values(), ids=BROKEN)
def test_what_the_form_can_know_is_refused_there(home, broken, said):
    parts = [broken.pop("part")] if "part" in broken else ["train", "test"]
    for part in parts:
        path = home / "datasets" / "bad" / f"{part}-0.parquet"
        write(path, **{"images": IMAGES, "labels": [0, 1, 0, 1], **broken})
    message = refusal("folder", folder="bad")
    assert said in message
    assert "\n" not in message


def test_a_file_that_is_not_parquet_is_refused(tiny):
    (tiny["folder"] / "train-00001-of-00002.parquet").write_text("not Parquet")
    assert "train-00001-of-00002.parquet of the data set tiny" in refusal("folder", folder="tiny")


ROWS = {
    "not an image": (b"not an image", "row 2 of train-0.parquet of the data set bad cannot be"),
    "cut off": (IMAGES[2][:60], "row 2 of train-0.parquet of the data set bad cannot be decoded"),
    "no bytes": (None, "row 2 of train-0.parquet of the data set bad holds no image"),
    "another size": (
        png(pixels(1, (5, 6, 3))[0]),
        "data set bad is 3×5×6; the first image is 3×6×5",
    ),
    "16 bits": (png(np.zeros((6, 5), np.uint16)), "has pixels of the kind I;16, not of 8 bits"),
}


@pytest.mark.parametrize(("content", "said"), ROWS.values(), ids=ROWS)
def test_a_bad_image_ends_the_run_with_a_sentence_that_names_its_row(
    home, config, gather, content, said
):
    for part, images in (("train", [*IMAGES[:2], content, *IMAGES]), ("test", IMAGES)):
        path = home / "datasets" / "bad" / f"{part}-0.parquet"
        write(path, images, [0, 1, 0, 1, 0, 1, 0][: len(images)])
    made = config(dataset={"name": "parquet_images", "folder": "bad"}, batch_size=4)
    ended = gather(train(made)).ended
    assert ended.status == "failed"
    assert said in ended.error
    assert "Traceback" not in ended.error
    assert not list(home.rglob("*.part"))


def test_the_path_of_an_image_is_never_followed(home):
    secret = home / "secret.png"
    secret.write_bytes(IMAGES[0])
    linked = {"bytes": None, "path": str(secret)}
    for part in ("train", "test"):
        path = home / "datasets" / "bad" / f"{part}-0.parquet"
        write(path, [*IMAGES, linked], [0, 1, 0, 1, 0])
    with pytest.raises(DataError, match=r"row 4 of train-0\.parquet of the data set bad holds no"):
        ParquetImages("bad").load(0)


# The decoded images


def test_a_second_run_decodes_nothing_until_a_file_changes(tiny, home, monkeypatch):
    first = ParquetImages("tiny").load(0)
    with monkeypatch.context() as patched:
        patched.setattr(parquet, "rows", None)
        again = ParquetImages("tiny").load(0)
    for part, same in zip(vars(first).values(), vars(again).values(), strict=True):
        assert torch.equal(part.x, same.x)
        assert torch.equal(part.y, same.y)
    others = pixels(20, seed=5)
    write(tiny["folder"] / "train-00001-of-00002.parquet", map(png, others), tiny["y"][30:])
    changed = ParquetImages("tiny", normalise="none").load(0)
    assert scaled(others)[0].tolist() in [*changed.train.x.tolist(), *changed.validation.x.tolist()]
    assert len(kept(home)) == 1, "the former file is left"


def test_a_damaged_cache_is_made_again(tiny, home):
    first = ParquetImages("tiny").load(0)
    (file,) = kept(home)
    file.write_bytes(file.read_bytes()[:-40])
    assert torch.equal(ParquetImages("tiny").load(0).train.x, first.train.x)
    assert torch.equal(ParquetImages("tiny").load(0).train.x, first.train.x)


def test_a_cache_that_cannot_be_written_is_no_error(tiny, home):
    (home / "cache").write_text("in the way")
    assert ParquetImages("tiny").load(0).test.y.tolist() == tiny["test_y"]


def test_a_worker_that_is_killed_while_it_writes_leaves_no_half_of_a_cache(tiny, home, monkeypatch):
    decode, made = parquet.decode, []

    def killed(*args):
        if len(made) == 20:
            assert list((home / "cache" / "images").glob("*.part"))
            raise KeyboardInterrupt
        made.append(decode(*args))
        return made[-1]

    dataset = ParquetImages("tiny")
    with monkeypatch.context() as patched:
        patched.setattr(parquet, "decode", killed)
        with pytest.raises(KeyboardInterrupt):
            dataset.load(0)
    assert not kept(home)
    assert dataset.load(0).test.y.tolist() == tiny["test_y"]


def test_of_two_workers_that_decode_at_once_the_second_waits_and_says_so(tiny, home, monkeypatch):
    dataset, rows, others, read = ParquetImages("tiny"), parquet.rows, [], []
    other = threading.Thread(target=lambda: others.append(dataset.load(0)))
    said, waits = [], threading.Event()

    def warning(text, *values):
        said.append(text % values)
        waits.set()

    def interrupted(path, column):
        read.append(path.name)
        if path.name.startswith("test"):  # the other one begins in the meantime
            other.start()
            assert waits.wait(20)
        return rows(path, column)

    monkeypatch.setattr(cache._log, "warning", warning)
    monkeypatch.setattr(parquet, "rows", interrupted)
    own = dataset.load(0)
    other.join(20)
    assert torch.equal(own.train.x, others[0].train.x)
    assert len(read) == 3, "each file is decoded once"
    assert said == ["another run is decoding the images of tiny (0 of 58); waiting"]
    (file,) = kept(home)
    assert file.suffix == ".safetensors"
    monkeypatch.setattr(parquet, "rows", None)
    assert torch.equal(dataset.load(0).train.x, own.train.x)


def test_a_data_set_whose_name_begins_with_another_s_keeps_its_cache(tiny, home):
    ParquetImages("tiny").load(0)
    (home / "datasets" / "tiny-2").symlink_to(tiny["folder"])
    ParquetImages("tiny-2").load(0)
    ParquetImages("tiny").load(0)
    assert len(kept(home)) == 2
