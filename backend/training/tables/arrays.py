"""`Arrays`: examples and classes of a folder, as a file of arrays or a table gives them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from backend.data_folders.folders import DataError, Pattern, folder_of
from backend.training.examples.part import Part, Split
from backend.training.image_files.parquet import class_count

MAX_BYTES = 2**34
"""Bytes of a file that is read at once."""


class Table(NamedTuple):
    """A part as its file has it."""

    x: np.ndarray
    """Examples (N, *shape)."""
    y: np.ndarray
    """Labels (N,), integers or texts."""
    columns: tuple[str, ...] = ()
    """The names of the numbers of an example, where they have any."""


Read = Callable[[Path, str], dict[str, Table]]
"""(file, name of the column of labels) -> {part: table}."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Examples and labels; without a test part, `parts` has train alone."""

    parts: dict[str, tuple[np.ndarray, np.ndarray]]
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.parts["train"][0].shape[1:]


def arrays(folder: str, pattern: Pattern, read: Read, label: str = "") -> Arrays:
    """What the files of a folder hold; remembered while they do not change.

    Raises DataError, in one sentence that names the file and the row.
    """
    files = sorted(folder_of(folder, pattern).glob(pattern))
    if not files:
        raise DataError(f"the data set {folder} has no file {pattern}")
    states = tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    if (size := sum(state[1] for state in states)) > MAX_BYTES:
        raise DataError(f"{folder} has {size:,} bytes; at most {MAX_BYTES:,} are read at once")
    return _read(folder, states, read, label)


@lru_cache(maxsize=4)
def _read(folder: str, states: tuple[tuple[Path, int, int], ...], read: Read, label: str) -> Arrays:
    tables: dict[str, Table] = {}
    for path, _, _ in states:
        for part, of_part in read(path, label).items():
            if part in tables:
                raise DataError(f"the data set {folder} has more than one file for {part}")
            tables[part] = of_part
    if "train" not in tables:
        raise DataError(f"the data set {folder} has no training part")
    shapes = {part: table.x.shape[1:] for part, table in tables.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"the examples of the data set {folder} differ in shape: {shapes}")
    labels = _numbered(folder, {part: table.y for part, table in tables.items()})
    columns = tables["train"].columns
    parts = {part: (_ordered(t, columns, folder), labels[part]) for part, t in tables.items()}
    return Arrays(parts, class_count(folder, 0, labels))


def _numbered(folder: str, labels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The labels of all parts; texts are numbered in the alphabetical order of them together."""
    kinds = {part: "texts" if y.dtype.kind == "U" else "integers" for part, y in labels.items()}
    if len({*kinds.values()}) > 1:
        listed = ", ".join(f"{kind} in {part}" for part, kind in kinds.items())
        raise DataError(f"the labels of the data set {folder} are {listed}; they must be of a kind")
    if "integers" in kinds.values():
        return labels
    texts = np.unique(np.concatenate([*labels.values()]))
    return {part: np.searchsorted(texts, y) for part, y in labels.items()}


def _ordered(table: Table, columns: tuple[str, ...], folder: str) -> np.ndarray:
    """The examples with their numbers in the order of the training part's columns."""
    if table.columns == columns:
        return table.x
    if {*table.columns} != {*columns}:
        differing = ", ".join(sorted({*table.columns} ^ {*columns}))
        raise DataError(
            f"not all parts of the data set {folder} have the columns {differing}; the files must "
            "have the same ones"
        )
    return table.x[:, [table.columns.index(name) for name in columns]]


def checked(x: np.ndarray, y: np.ndarray, where: str, kinds: str = "iu") -> Table:
    """Examples and their labels, as int64 or texts; `kinds` are the labels' kinds of dtype.

    Raises DataError if they cannot be trained on.
    """
    if not len(x) or len(x) != len(y):
        raise DataError(f"{where} has {len(x):,} examples and {len(y):,} labels")
    if x.dtype.kind not in "fiub":
        raise DataError(f"the examples of {where} are {x.dtype}; they must be numbers")
    if y.ndim != 1 or y.dtype.kind not in kinds:
        raise DataError(f"the labels of {where} are {y.dtype} {y.shape}; they must be integers")
    if x.dtype.kind == "f":
        bad = ~np.isfinite(x.reshape(len(x), -1)).all(1)
        if bad.any():
            raise DataError(f"row {int(bad.argmax())} of {where} has a number that is not finite")
    return Table(x, y if y.dtype.kind == "U" else y.astype(np.int64))


def standardised(split: Split) -> Split:
    """The same parts in float32, every feature scaled by the training part; a constant one is 0."""
    x = split.train.x.double()
    mean, deviation = x.mean(0), x.std(0, correction=0)
    # A constant has a deviation of rounding errors alone.
    constant = deviation <= 1e-12 * mean.abs()
    deviation = torch.where(constant, 1.0, deviation)

    def scaled(part: Part) -> Part:
        moved: Tensor = (part.x.double() - mean) / deviation
        return Part(torch.where(constant, 0.0, moved).float(), part.y)

    return Split(*map(scaled, vars(split).values()))
