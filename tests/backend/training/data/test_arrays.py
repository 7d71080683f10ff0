"""Data sets of arrays and tables: `.npz`, CSV, scikit-learn's tables and MNIST-1D."""

import numpy as np
import pytest
import torch

from backend.catalogue import validate
from backend.catalogue.entries import schema_of
from backend.training.datasets import datasets
from backend.training.datasets.mnist1d import _smooth
from backend.training.loop import train
from backend.training.tables import readers

Npz, CSVTable, MNIST1D, BundledTable = (
    datasets()[name] for name in ("npz", "csv_table", "mnist1d", "bundled_table")
)
Y = np.arange(30) % 3


def npz(home, name="arrays", **arrays):
    folder = home / "datasets" / name
    folder.mkdir(parents=True)
    np.savez(folder / "data.npz", **arrays)


def csv(home, text, name="table", file="data.csv"):
    folder = home / "datasets" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text)


def refusal(**dataset):
    body = {"dataset": dataset, "network": {"name": "mlp"}, "estimator": {"name": "backprop"}}
    (error,) = validate(body | {"batch_size": 4, "device": "cpu"})["errors"]
    assert "\n" not in error["msg"]
    return error["msg"]


def test_an_archive_that_grows_when_it_is_unpacked_is_refused_before(home, monkeypatch):
    monkeypatch.setattr(readers, "MAX_BYTES", 10**6)
    folder = home / "datasets" / "zeros"
    folder.mkdir(parents=True)
    np.savez_compressed(folder / "data.npz", x=np.zeros((30, 10_000)), y=Y)
    assert (folder / "data.npz").stat().st_size < 10**5
    message = refusal(name="npz", folder="zeros")
    assert "bytes once unpacked; at most 1,000,000 are read at once" in message


def test_a_broken_folder_leaves_its_data_set_in_the_form(home):
    npz(home, q=np.zeros(3))
    csv(home, "a,kind\n1,x\n2,y\n")
    for kind in ("a", "b"):
        folder = home / "datasets" / "images" / "train" / kind
        folder.mkdir(parents=True)
        (folder / "1.png").write_text("no image")
    folder = home / "datasets" / "parquet"
    folder.mkdir()
    (folder / "train-0.parquet").write_text("no table")
    firsts = {"npz": "arrays", "csv_table": "table", "image_folder": "images"}
    for name, first in {**firsts, "parquet_images": "parquet"}.items():
        field = schema_of(datasets()[name])["properties"]["folder"]
        assert (field["default"], field["enum"]) == (first, [first])


def test_arrays_without_a_test_part_are_divided_by_the_seed(home):
    x = np.random.default_rng(0).normal(size=(30, 4))
    npz(home, x=x, y=Y)
    dataset = Npz("arrays", normalise="none")
    assert (dataset.shape, dataset.classes, dataset.training_examples) == ((4,), 3, 24)
    split, again, other = (dataset.load(seed) for seed in (1, 1, 2))
    rows = torch.cat([part.x for part in vars(split).values()])
    assert sorted(rows.tolist()) == sorted(torch.tensor(x).float().tolist())
    place = {
        tuple(row): label for row, label in zip(torch.tensor(x).float().tolist(), Y, strict=True)
    }
    for part, same in zip(vars(split).values(), vars(again).values(), strict=True):
        assert torch.equal(part.x, same.x)
        assert [place[tuple(row)] for row in part.x.tolist()] == part.y.tolist()
    assert not torch.equal(split.validation.x, other.validation.x)
    assert [len(part) for part in vars(split).values()] == [24, 3, 3]
    assert (split.train.x.dtype, split.train.y.dtype) == (torch.float32, torch.int64)


def test_a_test_part_of_the_file_stays_the_test_part(home):
    x = np.random.default_rng(0).integers(0, 256, (30, 4, 4), np.uint8)
    npz(home, x_train=x, y_train=Y, x_test=x[:5], y_test=Y[:5])
    plain, scaled = (Npz("arrays", normalise=n).load(0) for n in ("none", "feature"))
    assert torch.equal(plain.test.x, torch.tensor(x[:5]).float()[:, None] / 255)
    assert plain.test.y.tolist() == Y[:5].tolist()
    assert plain.train.x.shape == (27, 1, 4, 4)
    moments = scaled.train.x.double().mean(0), scaled.train.x.double().var(0, correction=0)
    # Each of 27 numbers of size below 4 is rounded to float32 once.
    assert moments[0].abs().max() < 4 * 2**-24
    assert (moments[1] - 1).abs().max() < 32 * 2**-24


class Trap:
    """Unpickling it leaves a trace."""

    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


FILES = {
    "no labels": ({"x": np.zeros((6, 2))}, "has no array y but x; it needs x_train"),
    "one class": ({"x": np.zeros((6, 2)), "y": np.zeros(6, int)}, "C ≥ 2 classes"),
    "NaN": (
        {"x": np.array([[0.0], [1.0], [np.nan], [2.0]]), "y": np.array([0, 1, 0, 1])},
        "row 2 of x in data.npz of the data set arrays has a number that is not finite",
    ),
    "counts": ({"x": np.zeros((6, 2)), "y": np.arange(4) % 2}, "6 examples and 4 labels"),
    "real labels": ({"x": np.zeros((4, 2)), "y": np.array([0.5, 1, 0, 1])}, "must be integers"),
    "texts": ({"x": np.array([["a"], ["b"]]), "y": np.array([0, 1])}, "must be numbers"),
    "a pickle": (
        {"x": np.array([Trap(), Trap()], object), "y": np.array([0, 1])},
        "data.npz of the data set arrays cannot be read: Object arrays cannot be loaded",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arrays", "said"), FILES.values(), ids=FILES)
def test_bad_arrays_are_refused_in_the_form(home, arrays, said):
    npz(home, **arrays)
    assert said in refusal(name="npz", folder="arrays")


def test_a_file_that_is_cut_off_is_refused(home):
    npz(home, x=np.zeros((30, 4)), y=Y)
    path = home / "datasets" / "arrays" / "data.npz"
    path.write_bytes(path.read_bytes()[:100])
    assert "data.npz of the data set arrays cannot be read" in refusal(name="npz", folder="arrays")
    assert "has arrays" in refusal(name="npz", folder="other")
    assert "must be a name" in refusal(name="npz", folder="../arrays")


def test_what_is_no_archive_or_a_damaged_one_is_refused(home):
    npz(home, x=np.zeros((30, 4)), y=Y)
    path = home / "datasets" / "arrays" / "data.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(30, 40)), y=Y)
    damaged = bytearray(path.read_bytes())
    damaged[200:240] = bytes(40)
    with path.with_name("array.npy").open("wb") as file:
        np.save(file, np.zeros(3))
    for content in (bytes(damaged), path.with_name("array.npy").read_bytes()):
        path.write_bytes(content)
        said = refusal(name="npz", folder="arrays")
        assert "data.npz of the data set arrays cannot be read" in said


ROWS = "a,kind,b\n" + "".join(f"{i / 7},{'xyz'[i % 3]},{i * i}\n" for i in range(30))


def test_a_table_has_its_label_column_and_standardised_features(home, config, gather):
    csv(home, ROWS)
    dataset = CSVTable("table", label="kind")
    assert (dataset.shape, dataset.classes, dataset.training_examples) == ((2,), 3, 24)
    split = CSVTable("table", label="kind", normalise="none").load(0)
    for row, label in zip(split.train.x.tolist(), split.train.y.tolist(), strict=True):
        assert round(row[0] * 7) % 3 == label
    made = config(dataset={"name": "csv_table", "folder": "table", "label": "kind"}, batch_size=4)
    assert gather(train(made)).ended.status == "finished"


def test_a_file_test_csv_is_the_test_part(home):
    csv(home, ROWS, file="train.csv")
    csv(home, "a,kind,b\n1,x,2\n3,y,4\n", file="test.csv")
    split = CSVTable("table", label="kind", normalise="none").load(0)
    assert split.test.x.tolist() == [[1, 2], [3, 4]]
    assert split.test.y.tolist() == [0, 1]


def test_texts_are_numbered_over_both_files(home):
    csv(home, ROWS, file="train.csv")
    csv(home, "a,kind,b\n1,z,2\n3,x,4\n", file="test.csv")
    assert CSVTable("table", label="kind").load(0).test.y.tolist() == [2, 0]


def test_features_are_those_of_the_same_name_in_both_files(home):
    csv(home, ROWS, file="train.csv")
    csv(home, "b,a,kind\n2,1,x\n4,3,y\n", file="test.csv")
    split = CSVTable("table", label="kind", normalise="none").load(0)
    assert split.test.x.tolist() == [[1, 2], [3, 4]]
    csv(home, "a,c,kind\n2,1,x\n4,3,y\n", file="test.csv")
    said = refusal(name="csv_table", folder="table", label="kind")
    assert "not all parts of the data set table have the columns b, c" in said
    csv(home, "a,kind,b\n1,0,2\n3,1,4\n", file="test.csv")
    said = refusal(name="csv_table", folder="table", label="kind")
    assert "are integers in test, texts in train" in said


TABLES = {
    "no column": ("a,b\n1,2\n", "has no column kind; it has a, b"),
    "text": (
        "a,kind\nhello,0\nyou,1\n",
        "the column a of data.csv of the data set table is string",
    ),
    "empty": ("a,kind\n1,0\n,1\n3,0\n", "row 1 of data.csv of the data set table has nothing in"),
    "NaN": ("a,kind\n1,0\nnan,1\n", "row 1 of data.csv of the data set table has"),
    "one class": ("a,kind\n1,0\n2,0\n", "C ≥ 2 classes"),
    "twice": ("a,kind,a\n1,0,2\n2,1,3\n", "names a column twice: a, kind, a"),
    "ragged": ("a,kind\n1,0\n2\n", "data.csv of the data set table cannot be read"),
}


@pytest.mark.parametrize(("text", "said"), TABLES.values(), ids=TABLES)
def test_bad_tables_are_refused_in_the_form(home, text, said):
    csv(home, text)
    assert said in refusal(name="csv_table", folder="table", label="kind")


def test_the_folder_of_a_table_has_to_be_named(home):
    assert refusal(name="csv_table").startswith("no folder is chosen: ")
    assert refusal(name="npz").endswith("has no folder with files *.npz")


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_bundled_tables_are_standardised_by_the_training_part(name):
    split = BundledTable(name).load(0)
    x = split.train.x.double()
    # Numbers of size below 16 are rounded to float32 once each.
    assert x.mean(0).abs().max() < 16 * 2**-24
    assert (x.var(0, correction=0) - 1).abs().max() < 256 * 2**-24
    assert split.test.x.double().mean(0).abs().max() > 1e-4


def test_curves_of_mnist_1d_are_templates_where_nothing_is_random():
    plain = MNIST1D(examples=200, scale=0, correlated_noise=0, white_noise=0, shear=0).load(0)
    x, y = plain.train.x[:, 0], plain.train.y
    assert x.shape == (120, 40)
    # Class 0 rises above its start and class 6, its mirror image, falls below.
    assert (x[y == 0].max(1).values > 1.5).all()
    assert (x[y == 0].min(1).values > -1e-6).all()
    assert (x[y == 6].min(1).values < -1.5).all()
    assert (x[y == 6].max(1).values < 1e-6).all()
    starts = (x[y == 0].abs() > 0.5).int().argmax(1)
    assert len(starts.unique()) > 3, "curves are moved"


def test_the_noise_of_mnist_1d_is_filtered():
    noise = torch.randn(400, 72, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    smooth = _smooth(noise)
    assert smooth.shape == noise.shape
    # A Gaussian filter of deviation s leaves the variance 1 / (2 s √π) = 0.141 away from the ends.
    assert smooth[:, 10:-10].var().item() == pytest.approx(0.141, rel=0.05)
    torch.testing.assert_close(_smooth(torch.ones(1, 72)), torch.ones(1, 72))
