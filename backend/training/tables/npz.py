"""Reading `.npz` files; pickled objects are never loaded."""

import zipfile
from pathlib import Path

import numpy as np

from backend.data_folders.folders import DataError
from backend.training.tables.arrays import checked

NAMES = "x_train, y_train, x_test and y_test, or x and y"


def read_npz(path: Path, label: str = "") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{part: (examples, labels)} of a file with the arrays x_train, y_train, x_test, y_test, or
    x and y. Raises DataError."""
    where = f"{path.name} of the data set {path.parent.name}"
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            names = set(file.files)
            stored = {name: file[name] for name in names & {*_PLACES}}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
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


_PLACES = ("x_train", "y_train", "x_test", "y_test", "x", "y")
