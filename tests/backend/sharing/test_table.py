"""CSV and Parquet: every point, exactly, and no formulas."""

import csv
import io
import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from backend.figures import Memory, MemoryRun
from backend.sharing import csv_rows, parquet

ODD = [0.1 + 0.2, math.nan, math.inf, -math.inf, -1e-300]


@pytest.fixture
def small() -> Memory:
    source = Memory()
    source.add_run("r1", MemoryRun(1, '=1+1,"quoted"\nnew line', {"seed": 3}))
    source.add("r1", "train/loss", range(5), ODD, unit="nats", layer="@x", estimator="-a")
    return source


def table(text: str) -> list[dict[str, str]]:
    """The rows, read as programs read a file in UTF-8 with a byte-order mark."""
    file = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8-sig", newline="")
    return list(csv.DictReader(file))


def test_csv_begins_with_a_byte_order_mark(small):
    text = "".join(csv_rows(small, ["r1"]))
    assert text.encode().startswith(b"\xef\xbb\xbfrun,number,")
    assert text.count("\ufeff") == 1


def test_csv_holds_every_point_exactly(small):
    rows = table("".join(csv_rows(small, ["r1"])))
    assert [int(row["step"]) for row in rows] == list(range(5))
    assert [row["value"] for row in rows[1:4]] == ["NaN", "Infinity", "-Infinity"]
    assert np.array_equal([float(row["value"]) for row in rows], ODD, equal_nan=True)


def test_csv_texts_are_no_formulas_and_numbers_stay_numbers(small):
    row = table("".join(csv_rows(small, ["r1"])))[0]
    assert row["name"] == '\'=1+1,"quoted"\nnew line'
    assert (row["layer"], row["estimator"]) == ("'@x", "'-a")
    assert "-1e-300" in "".join(csv_rows(small, ["r1"]))


def test_csv_comes_in_pieces(small):
    small.add("r1", "cosine", np.arange(25_000), np.zeros(25_000))
    pieces = list(csv_rows(small, ["r1"]))
    assert sum(piece.count("\r\n") for piece in pieces) == 1 + 5 + 25_000
    assert max(piece.count("\r\n") for piece in pieces) == 10_000


def test_parquet_holds_every_point_and_the_configuration(source, tmp_path):
    parquet(source, ["r1", "r2"], tmp_path / "points.parquet")
    table = pq.read_table(tmp_path / "points.parquet")
    assert table.num_rows == sum(series.count for series in source.series("r1"))
    assert {str(table.schema.field(n).type) for n in ("number", "step")} == {"int64"}
    loss = table.filter(np.array([m == "train/loss" for m in table["metric"].to_pylist()]))
    assert math.isnan(loss["value"][1500].as_py())
    about = json.loads(table.schema.metadata[b"gradlab"])
    assert about["r1"]["seed"] == 7
    assert "token" not in about["r1"]


def test_parquet_of_a_run_without_points(source, tmp_path):
    parquet(source, ["r2"], tmp_path / "points.parquet")
    assert pq.read_table(tmp_path / "points.parquet").num_rows == 0
