"""Images in a folder for each class: what is read, what is refused, and what is kept."""

import os
import struct
import zlib
from dataclasses import fields, replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter

from backend.catalogue import catalogue, validate
from backend.data_folders.folders import DataError
from backend.training.datasets import datasets
from backend.training.datasets.contract import interleaved
from backend.training.image_files import folder_images
from backend.training.image_files.decoding import decode
from backend.training.image_files.published import compare
from backend.training.loop import train

ImageFolder = datasets()["image_folder"]
COUNTS = {"cat": 12, "ant": 8, "bee": 4}


def pixels(count, shape=(6, 5, 3), seed=0):
    """Images (N, H, W, C), or (N, H, W) grey ones, of random bytes."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def save(path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)


@pytest.fixture
def folder(home):
    """The folder of a data set that is to be written, named pets."""
    return home / "datasets" / "pets"


def fill(folder, counts=COUNTS, seed=0, shape=(6, 5, 3)):
    """Random images for each class; returns the pixels by class."""
    written = {}
    for number, (name, count) in enumerate(counts.items()):
        written[name] = pixels(count, shape, seed + number)
        for i, image in enumerate(written[name]):
            save(folder / name / f"{i:02d}.png", image)
    return written


@pytest.fixture
def pets(folder):
    """24 training and 4 test images of three classes."""
    test = fill(folder / "test", {"bee": 3, "ant": 1}, seed=10)
    return {"train": fill(folder / "train"), "test": test}


def scaled(images):
    """(N, H, W, C) bytes as (N, C, H, W) in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def examples(*parts):
    """All pixels with their label, sorted."""
    return sorted(
        (image.flatten().tolist(), label)
        for part in parts
        for image, label in zip(part.x, part.y.tolist(), strict=True)
    )


def expected(written):
    labels = {name: label for label, name in enumerate(sorted(COUNTS))}
    return sorted(
        (image.flatten().tolist(), labels[name])
        for name, images in written.items()
        for image in scaled(images)
    )


def refusal(**dataset):
    body = {"dataset": {"name": "image_folder", "folder": "pets"} | dataset}
    body |= {"network": {"name": "mlp"}, "estimator": {"name": "backprop"}, "batch_size": 4}
    (error,) = validate(body | {"device": "cpu"})["errors"]
    assert "\n" not in error["msg"]
    return error["msg"]


def test_labels_are_the_sorted_names_of_the_class_folders(pets):
    dataset = ImageFolder("pets", normalise="none", validation=0.25)
    assert (dataset.shape, dataset.classes, dataset.training_examples) == ((3, 6, 5), 3, 18)
    assert "24 training and 4 test images of 3×6×5 pixels in 3 classes" in dataset.description
    split = dataset.load(0)
    assert examples(split.test) == expected(pets["test"])
    assert examples(split.train, split.validation) == expected(pets["train"])
    assert split.validation.y.bincount().tolist() == [2, 1, 3]


def test_folders_of_classes_alone_give_a_test_part_drawn_by_the_seed(folder):
    written = fill(folder)
    dataset = ImageFolder("pets", normalise="none", validation=0.25)
    assert dataset.training_examples == 12
    assert "18 training and 6 test images" in dataset.description
    split, again, other = (dataset.load(seed) for seed in (0, 0, 1))
    assert [len(part) for part in vars(split).values()] == [12, 6, 6]
    assert examples(*vars(split).values()) == expected(written)
    source = folder_images.folder_images("pets")
    x, y = np.stack([*source.images("train")]), source.labels("train")
    order = interleaved(torch.from_numpy(y), 0)
    for part, places in ((split.validation, order[:6]), (split.test, order[6:12])):
        assert torch.equal(part.x, torch.from_numpy(x)[places].float() / 255)
    assert torch.equal(split.train.x, torch.from_numpy(x)[order[12:]].float() / 255)
    assert split.test.y.bincount().tolist() == [2, 1, 3]
    assert torch.equal(split.test.x, again.test.x)
    assert examples(split.test) != examples(other.test)
    few = replace(dataset, training=4).load(0)
    assert torch.equal(few.train.x, split.train.x[:4])
    assert dataset.separate_test is False, "another seed trains on these test images"


def test_a_folder_train_without_test_gives_a_test_part_as_well(folder):
    written = fill(folder / "train")
    assert examples(*vars(ImageFolder("pets", normalise="none").load(0)).values()) == expected(
        written
    )


def test_a_class_may_be_called_train(folder):
    fill(folder, {"train": 4, "car": 4})
    assert ImageFolder("pets").classes == 2


def test_every_kind_of_file_is_read_and_others_are_left_out(folder):
    x = pixels(6)
    for array, name in zip(x, ("a.PNG", "b.bmp", "c.webp"), strict=False):
        save(folder / "a" / name, array, **({"lossless": True} if "webp" in name else {}))
    for array, name in zip(x[3:], ("a.jpg", "b.JPEG", "c.jpeg"), strict=True):
        save(folder / "b" / name, array)
    (folder / "a" / "notes.txt").write_text("no image")
    (folder / "a" / ".hidden.png").write_text("no image")
    (folder / ".trash").mkdir()
    (folder / "readme.md").write_text("no image")
    source = folder_images.folder_images("pets")
    assert source.counts == {"train": 6, "test": 0}
    images = np.stack([*source.images("train")])
    assert np.array_equal(images[:3], x[:3].transpose(0, 3, 1, 2))
    jpeg = np.asarray(Image.open(folder / "b" / "c.jpeg"))
    assert np.array_equal(images[5], jpeg.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_images_have_one_channel(folder, mode):
    x = pixels(8, (6, 5))
    for i, array in enumerate(x):
        save(folder / "ab"[i % 2] / f"{i}.png", array, mode)
    source = folder_images.folder_images("pets")
    assert source.shape == (1, 6, 5)
    (first, *_) = source.images("train")
    wanted = Image.fromarray(x[0]).convert(mode).convert("L")
    assert np.array_equal(first[0], np.asarray(wanted))


def test_one_coloured_image_makes_all_of_them_coloured_and_alpha_is_left_out(folder):
    grey, colour = pixels(4, (6, 5)), pixels(3, (6, 5, 4))
    for i, array in enumerate(grey):
        save(folder / "train" / "ab"[i % 2] / f"{i}.png", array)
    save(folder / "test" / "a" / "0.png", colour[0])
    palette = Image.fromarray(colour[1, ..., :3]).quantize(8)
    (folder / "test" / "b").mkdir()
    palette.save(folder / "test" / "b" / "1.png", transparency=bytes([0, 128]))
    source = folder_images.folder_images("pets")
    assert source.shape == (3, 6, 5)
    (first, *_), test = source.images("train"), [*source.images("test")]
    assert np.array_equal(first, np.stack([grey[0]] * 3))
    assert np.array_equal(test[0], colour[0, ..., :3].transpose(2, 0, 1))
    assert np.array_equal(test[1], np.asarray(palette.convert("RGB")).transpose(2, 0, 1))


def test_channels_are_scaled_augmented_and_streamed_as_those_of_parquet_files(pets):
    plain = ImageFolder("pets", normalise="none").load(0).train.x.double()
    dataset = ImageFolder("pets", shift=1, flip=True, cutout=2, storage="streamed")
    mean, deviation = plain.mean((0, 2, 3)), plain.std((0, 2, 3), correction=0)
    wanted = (plain - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1)
    # Four roundings of numbers of size 1 to 4: x/255, mean, difference, quotient.
    x = dataset.load(0).train.x.double()
    torch.testing.assert_close(x, wanted, atol=4 * 4 * 2**-23, rtol=0)
    assert dataset.augment is not None
    assert refusal(shift=5).startswith("shift is 5")


def test_a_run_trains_on_a_folder(pets, config, gather):
    made = config(dataset={"name": "image_folder", "folder": "pets"}, batch_size=4)
    assert gather(train(made)).ended.status == "finished"


def test_a_data_set_is_written_as_its_fields_alone(pets):
    dataset = ImageFolder("pets")
    assert dataset.shape == (3, 6, 5)
    written = TypeAdapter(ImageFolder).dump_python(dataset)
    assert set(written) == {field.name for field in fields(dataset)}


def test_the_form_offers_the_folders_of_images(pets, folder):
    (folder.parent / "table").mkdir()
    (folder.parent / "table" / "data.csv").write_text("a,label\n1,0\n")
    (folder.parent / "texts" / "a").mkdir(parents=True)
    (folder.parent / "texts" / "a" / "1.txt").write_text("no image")
    fill(folder.parent / "flat")
    (entry,) = (e for e in catalogue()["datasets"] if e["name"] == "image_folder")
    schema = entry["schema"]["properties"]["folder"]
    assert (schema["enum"], schema["default"]) == (["flat", "pets"], "flat")
    assert refusal(folder="dogs").endswith("datasets has flat, pets")


def test_a_lab_without_folders_of_images_says_what_one_is(home):
    said = refusal(folder="")
    assert said.endswith("has no folder with files CLASS/*.png (or .jpg, .bmp, .webp)")


def test_all_images_of_a_folder_can_be_checked(pets, folder):
    assert compare("pets").startswith("all 28 images of pets can be decoded")
    path = folder / "test" / "bee" / "00.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"test/bee/00\.png of the data set pets cannot be decoded"):
        compare("pets")


# Refusals


def one_class(folder):
    fill(folder, {"cat": 4})


def no_class(folder):
    folder.mkdir(parents=True)
    save(folder / "1.png", pixels(1)[0])


def no_class_in_parts(folder):
    save(folder / "train" / "1.png", pixels(1)[0])
    save(folder / "test" / "1.png", pixels(1)[0])


def no_class_in_test(folder):
    fill(folder / "train")
    (folder / "test").mkdir()


def unknown_class(folder):
    fill(folder / "train")
    fill(folder / "test", {"dog": 1})


def empty_class(folder):
    fill(folder)
    (folder / "dog").mkdir()
    (folder / "dog" / "1.gif").write_bytes(b"GIF89a")


def empty_test_class(folder):
    fill(folder / "train")
    (folder / "test" / "bee").mkdir(parents=True)


def third_part(folder):
    fill(folder / "train")
    fill(folder / "val")


def nested(folder):
    fill(folder)
    fill(folder / "bee", {"young": 1})


def unequal(folder):
    fill(folder)
    save(folder / "cat" / "00.png", pixels(1, (5, 6, 3))[0])


def unequal_in_test(folder):
    fill(folder / "train")
    fill(folder / "test", {"bee": 1}, shape=(7, 5, 3))


def no_image(folder):
    fill(folder)
    (folder / "bee" / "01.png").write_bytes(b"not an image")


def nothing(folder):
    fill(folder)
    (folder / "bee" / "01.png").write_bytes(b"")


def postscript(folder):
    fill(folder)
    (folder / "bee" / "01.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n%%EndComments\nshowpage\n%%EOF\n"
    )


def sixteen_bits(folder):
    fill(folder)
    save(folder / "bee" / "01.png", np.zeros((6, 5), np.uint16))


def few(folder):
    fill(folder, {"cat": 1, "ant": 1})


def pipe(folder):
    fill(folder)
    os.mkfifo(folder / "bee" / "99.png")


def bomb(folder, side=10_000):
    """A PNG file of few bytes that states 10⁸ pixels."""
    fill(folder)

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    start = b"\x89PNG\r\n\x1a\n"
    (folder / "bee" / "01.png").write_bytes(start + head + rows + chunk(b"IEND", b""))


BROKEN = {
    no_class: "the data set pets has no class folder; it must have at least two folders of images",
    no_class_in_parts: "train of the data set pets has no class folder",
    no_class_in_test: "test of the data set pets has no class folder",
    one_class: "the data set pets has one class folder, cat; it must have at least two",
    unknown_class: "the class test/dog of the data set pets is not in train, which has ant, bee,",
    empty_class: "dog of the data set pets has no image, a file .png, .jpg",
    empty_test_class: "test/bee of the data set pets has no image",
    third_part: "the data set pets has the folder val beside train; only train and test are read",
    nested: "bee/young of the data set pets is a folder inside that of a class",
    unequal: "cat/00.png of the data set pets is 5×6 pixels, and ant/00.png is 6×5; all must",
    unequal_in_test: "test/bee/00.png of the data set pets is 7×5 pixels, and train/ant/00.png is",
    no_image: "bee/01.png of the data set pets cannot be decoded as an image: cannot identify",
    nothing: "bee/01.png of the data set pets cannot be decoded as an image: cannot identify",
    postscript: "bee/01.png of the data set pets cannot be decoded as an image: cannot identify",
    sixteen_bits: "bee/01.png of the data set pets has pixels of the kind I;16, not of 8 bits",
    few: "a validation share of 0.1 leaves none of the 2 images of pets to train on",
    pipe: "bee/99.png of the data set pets is not a file",
    bomb: "bee/01.png of the data set pets cannot be decoded as an image: Image size (100000000",
}


@pytest.mark.parametrize(
    ("write", "said"), BROKEN.items(), ids=[write.__name__ for write in BROKEN]
)
def test_what_the_form_can_know_is_refused_there(folder, write, said):
    write(folder)
    assert said in refusal()


def test_a_path_is_no_name(pets):
    assert "must be a name" in refusal(folder="../datasets/pets")


def truncated(folder, ending):
    """An image without its last 200 bytes."""
    fill(folder, shape=(32, 32, 3))
    path = folder / "bee" / f"99.{ending}"
    save(path, pixels(1, (32, 32, 3))[0])
    path.write_bytes(path.read_bytes()[:-200])
    return f"bee/99.{ending} of the data set pets cannot be decoded as an image: "


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
def test_a_truncated_image_ends_the_run_with_a_sentence_that_names_it(
    folder, config, gather, ending
):
    said = truncated(folder, ending)
    made = config(dataset={"name": "image_folder", "folder": "pets"}, batch_size=4)
    ended = gather(train(made)).ended
    assert ended.status == "failed"
    assert ended.error.startswith(said)
    assert "Traceback" not in ended.error


def test_a_truncated_webp_file_is_refused_in_the_form(folder):
    said = truncated(folder, "webp")
    assert refusal().startswith(said)


# Links


@pytest.mark.parametrize("place", ["bee/link.png", "dog", "train"])
def test_a_link_that_leads_outside_is_refused(folder, home, place):
    fill(folder)
    fill(home / "secret", {"a": 1, "b": 1})
    target = home / "secret" / "a" / "00.png" if "." in place else home / "secret"
    (folder / place).symlink_to(target)
    said = f"{place} of the data set pets is a link that leads outside its folder"
    assert said in refusal()


def test_a_link_to_a_sibling_with_the_same_beginning_is_outside(folder, home):
    fill(folder)
    fill(folder.with_name("pets2"))
    (folder / "dog").symlink_to("../pets2/cat")
    assert "dog of the data set pets is a link that leads outside its folder" in refusal()


def test_a_link_that_stays_inside_is_followed_and_one_to_nothing_is_refused(folder):
    written = fill(folder)
    (folder / "bee" / "99.png").symlink_to("../cat/00.png")
    source = folder_images.folder_images("pets")
    *_, last = (
        i for i, y in zip(source.images("train"), source.labels("train"), strict=True) if y == 1
    )
    assert np.array_equal(last, written["cat"][0].transpose(2, 0, 1))
    (folder / "bee" / "99.png").unlink()
    (folder / "bee" / "99.png").symlink_to("99.png")
    assert "bee/99.png of the data set pets is not a file" in refusal()


def test_the_folder_of_the_data_set_may_be_a_link(folder, home):
    fill(home / "elsewhere")
    (home / "elsewhere" / "bee" / "99.png").symlink_to("../cat/00.png")
    folder.parent.mkdir()
    folder.symlink_to(home / "elsewhere")
    assert ImageFolder("pets").classes == 3


# The decoded images


def test_a_second_run_decodes_nothing_until_a_file_changes(pets, folder, home, monkeypatch):
    first = ImageFolder("pets", normalise="none").load(0)
    with monkeypatch.context() as patched:
        patched.setattr(folder_images, "decode", None)
        again = ImageFolder("pets", normalise="none").load(0)
    for part, same in zip(vars(first).values(), vars(again).values(), strict=True):
        assert torch.equal(part.x, same.x)
        assert torch.equal(part.y, same.y)
    path = folder / "test" / "ant" / "00.png"
    state = path.stat()
    save(path, pixels(1, seed=99)[0])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    changed = ImageFolder("pets", normalise="none").load(0)
    assert torch.equal(changed.test.x[0], scaled(pixels(1, seed=99))[0])
    path.rename(folder / "test" / "bee" / "99.png")
    path.parent.rmdir()
    assert ImageFolder("pets").load(0).test.y.tolist() == [1, 1, 1, 1]
    assert len([*(home / "cache" / "images").glob("*.safetensors")]) == 1, (
        "the former files are left"
    )


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((3, 6, 5), "it is 3×5×6; the first image is 3×6×5"),
        ((3, 30, 1), "it is 3×5×6; the first image is 3×30×1"),
        ((1, 5, 6), "it is 3×5×6; the first image is 1×5×6"),
    ],
)
def test_an_image_of_another_shape_is_not_decoded(shape, said):
    file = BytesIO()
    Image.fromarray(pixels(1, (5, 6, 3))[0]).save(file, "PNG")
    with pytest.raises(DataError, match=said):
        decode(file, "it", shape)
    assert decode(file, "it", (3, 5, 6)).shape == (3, 5, 6)


def test_a_file_that_changes_after_it_was_found_is_refused(pets, folder):
    dataset = ImageFolder("pets")
    save(folder / "train" / "bee" / "00.png", pixels(1, seed=99)[0], "L")
    with pytest.raises(DataError, match=r"train/bee/00\.png of the data set pets has changed"):
        dataset.load(0)
