"""Images in Parquet files laid out as on the Hugging Face hub: what they hold, and decoding them.

A data set is a folder with files `train-*.parquet` and `test-*.parquet`. Each has a column `image`
or `img` of structs {bytes, path} and a column `label` of integers.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from backend.data_folders.folders import DataError, folder_of
from backend.training.image_files.columns import (
    Columns,
    check_columns,
    columns_of,
    named_classes,
    schema_of,
)
from backend.training.image_files.decoding import decode
from backend.training.image_files.source import PARTS


class FileState(NamedTuple):
    """A file, and what changes with its content."""

    path: Path
    size: int
    modified: int
    """Nanoseconds."""


@dataclass(frozen=True)
class ImageFiles:
    """The files of a data set, with what is known of it without decoding its images."""

    name: str
    files: dict[str, tuple[FileState, ...]]
    """Those of each part."""
    counts: dict[str, int]
    """Images in each part."""
    columns: Columns
    shape: tuple[int, int, int]
    """Channels, height and width of the first image, which all others must have."""
    classes: int

    @property
    def fingerprint(self) -> str:
        """Changes with the name, size or date of any of the files."""
        states = [(f.path.name, f.size, f.modified) for part in PARTS for f in self.files[part]]
        label = [] if self.columns.label == "label" else [self.columns.label]
        text = json.dumps([self.columns.image, *label, states])
        return sha256(text.encode()).hexdigest()[:16]

    def labels(self, part: str) -> np.ndarray:
        """The labels of a part, (N,) int64."""
        return _labels(self.name, self.files[part], self.columns.label)

    def images(self, part: str) -> Iterator[np.ndarray]:
        """The images of a part, (C, H, W) uint8 each. Raises DataError."""
        for file in self.files[part]:
            for row, image in enumerate(rows(file.path, self.columns.image)):
                where = f"row {row} of {file.path.name} of the data set {self.name}"
                yield decode(_file(image, where), where, self.shape)


def image_files(name: str, label: str = "") -> ImageFiles:
    """What the data set `name` holds; remembered while its files do not change.

    `label` is the column of labels where there are several, as in CIFAR-100.

    Raises DataError, in one sentence, for a folder without such files, a missing column, labels
    that are missing or are not 0 … C − 1, no images, or a first image that cannot be decoded.
    """
    folder = folder_of(name)
    return _examined(name, label, tuple(_states(folder, name, part) for part in PARTS))


def _states(folder: Path, name: str, part: str) -> tuple[FileState, ...]:
    found = sorted(folder.glob(f"{part}-*.parquet"))
    if not found:
        raise DataError(f"the data set {name} has no file {part}-*.parquet")
    stats = [(path, path.stat()) for path in found]
    return tuple(FileState(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)


@lru_cache(maxsize=64)
def _examined(name: str, label: str, states: tuple[tuple[FileState, ...], ...]) -> ImageFiles:
    files = dict(zip(PARTS, states, strict=True))
    paths = [file.path for part in PARTS for file in files[part]]
    schemas = {f"{path.name} of the data set {name}": schema_of(path, name) for path in paths}
    where, first = next(iter(schemas.items()))
    columns = columns_of(first, where, label)
    for where, schema in schemas.items():
        check_columns(schema, columns, where)
    labels = {part: _labels(name, files[part], columns.label) for part in PARTS}
    for part, read in labels.items():
        if not len(read):
            raise DataError(f"the {part} part of the data set {name} is empty")
    classes = class_count(name, named_classes(first, columns.label), labels)
    counts = {part: len(read) for part, read in labels.items()}
    shape = _shape(name, files["train"], columns.image)
    return ImageFiles(name, files, counts, columns, shape, classes)


def _shape(name: str, files: tuple[FileState, ...], column: str) -> tuple[int, int, int]:
    """The shape of the first image."""
    for file in files:
        # Not by `rows`: the form waits for this, and the library takes a second to import.
        for batch in pq.ParquetFile(file.path).iter_batches(1, columns=[column]):
            where = f"row 0 of {file.path.name} of the data set {name}"
            return decode(_file(batch.column(0)[0].as_py(), where), where).shape
    raise DataError(f"the train part of the data set {name} is empty")


def _labels(name: str, files: tuple[FileState, ...], label: str) -> np.ndarray:
    """The labels of a part, (N,) int64."""
    read = []
    for file in files:
        column = pq.read_table(file.path, columns=[label]).column(0)
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise DataError(f"row {row} of {file.path.name} of the data set {name} has no label")
        read.append(column.to_numpy().astype(np.int64))
    return np.concatenate(read)


def class_count(name: str, named: int, labels: dict[str, np.ndarray]) -> int:
    """The number of classes: that of the class names in the file, else (0) of the labels.

    Raises DataError for labels that are not 0 … C − 1, all of them in the training part.
    """
    present, trained = np.unique(np.concatenate([*labels.values()])), np.unique(labels["train"])
    classes = named or int(present[-1]) + 1
    run = f"the labels of the data set {name} run from {present[0]} to {present[-1]}"
    if present[0] < 0 or present[-1] >= classes or classes < 2:
        names = f", and its file names {named} classes" if named else ""
        raise DataError(f"{run}{names}; they must be 0 … C − 1 for C ≥ 2 classes")
    if not named and len(trained) < classes:
        gaps = trained != np.arange(len(trained))
        missing = int(gaps.argmax()) if gaps.any() else len(trained)
        raise DataError(
            f"{run}, and no training example has the label {missing}; they must be 0 … C − 1"
        )
    return classes


def rows(path: Path, column: str) -> Iterator[Any]:
    """The images of a file, as {bytes, path} each, one after the other."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before the import: the files are all there is
    import datasets

    stream = datasets.load_dataset(
        "parquet", data_files=[str(path)], split="train", streaming=True, columns=[column]
    )
    # Decoded by `decode`: the library would follow an image's path, even to another machine.
    for row in stream.cast_column(column, datasets.Image(decode=False)):
        yield row[column]


def _file(image: Any, where: str) -> BytesIO:
    """The bytes of an image; its path is never followed."""
    if not image or not image["bytes"]:
        raise DataError(f"{where} holds no image")
    return BytesIO(image["bytes"])
