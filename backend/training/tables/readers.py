"""Reading `.npz` files and CSV files; pickled objects are never loaded."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from backend.data_folders.folders import DataError
from backend.training.tables.arrays import MAX_BYTES, Table, checked

_PLACES = ("x_train", "y_train", "x_test", "y_test", "x", "y")
_UNREADABLE = (
    OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What numpy and zipfile raise for a damaged archive, an encrypted one, or one that is none."""
NAMES = "x_train, y_train, x_test and y_test, or x and y"


def read_npz(path: Path, label: str = "") -> dict[str, Table]:
    """{part: (examples, labels)} of a file with the arrays x_train, y_train, x_test, y_test, or
    x and y. Raises DataError."""
    where = f"{path.name} of the data set {path.parent.name}"
    try:
        _refuse_large(path, where)
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            names = set(file.files)
            stored = {name: file[name] for name in names & {*_PLACES}}
    except DataError:
        raise
    except _UNREADABLE as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{where} cannot be read: {first}") from error
    pairs = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
    if "x_train" not in names:
        pairs = {"train": ("x", "y")}
    for pair in pairs.values():
        if missing := [name for name in pair if name not in stored]:
            listed = ", ".join(sorted(names)) or "none"
            raise DataError(f"{where} has no array {missing[0]} but {listed}; it needs {NAMES}")
    return {
        part: checked(stored[x], stored[y], f"{x} in {where}") for part, (x, y) in pairs.items()
    }


def _refuse_large(path: Path, where: str) -> None:
    """Raise DataError for an archive whose arrays take more than is read at once: a small file may
    hold many zeros."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_BYTES:
        raise DataError(
            f"{where} has {size:,} bytes once unpacked; at most {MAX_BYTES:,} are read at once"
        )


def read_csv(path: Path, label: str = "label") -> dict[str, Table]:
    """{part: features (N, D) float64, and labels}; a file whose name begins with test is the test
    part. Raises DataError."""
    where = f"{path.name} of the data set {path.parent.name}"
    try:
        table = pacsv.read_csv(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{where} cannot be read: {str(error).splitlines()[0]}") from error
    if len({*table.column_names}) < len(table.column_names):
        raise DataError(f"{where} names a column twice: {', '.join(table.column_names)}")
    if label not in table.column_names:
        listed = ", ".join(table.column_names) or "none"
        raise DataError(f"{where} has no column {label}; it has {listed}")
    _refuse_empty(table, where)
    features = [name for name in table.column_names if name != label]
    if not features:
        raise DataError(f"{where} has no column beside {label}")
    for name in features:
        kind = table.schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise DataError(f"the column {name} of {where} is {kind}; it must be of numbers")
    x = np.stack([table[name].to_numpy().astype(np.float64) for name in features], axis=1)
    part = "test" if path.name.startswith("test") else "train"
    made = checked(x, _labels(table[label]), where, "iuU")
    return {part: made._replace(columns=tuple(features))}


def _labels(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_string(column.type):
        return column.to_numpy().astype(str)
    values = column.to_numpy()
    if values.dtype.kind == "f" and (values == values.round()).all():
        values = values.astype(np.int64)
    return values


def _refuse_empty(table: pa.Table, where: str) -> None:
    for name in table.column_names:
        if table[name].null_count:
            row = table[name].is_null().to_pylist().index(True)
            raise DataError(f"row {row} of {where} has nothing in the column {name}")
