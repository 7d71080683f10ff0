"""Images in a folder for each class: what they are, and decoding them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np

from backend.data_folders.folders import DataError
from backend.training.image_files.class_folders import ClassFolders, ImageFile, class_folders
from backend.training.image_files.decoding import Shape, decode, header
from backend.training.image_files.source import PARTS


@dataclass(frozen=True)
class FolderImages:
    """The images of a data set, with what their headers state."""

    name: str
    class_names: tuple[str, ...]
    """The name of each label."""
    files: dict[str, tuple[ImageFile, ...]]
    """Those of each part; without a test part, there are none for it."""
    shape: Shape
    """Channels, height and width; three channels if any image has colour."""

    @property
    def classes(self) -> int:
        """The number of classes C."""
        return len(self.class_names)

    @property
    def counts(self) -> dict[str, int]:
        """Images in each part."""
        return {part: len(files) for part, files in self.files.items()}

    @property
    def fingerprint(self) -> str:
        """Changes with the name, size or date of any of the files."""
        states = [[(f.name, f.size, f.modified) for f in self.files[part]] for part in PARTS]
        return sha256(json.dumps(states).encode()).hexdigest()[:16]

    def labels(self, part: str) -> np.ndarray:
        """The labels of a part, (N,) int64."""
        return np.array([file.label for file in self.files[part]], np.int64)

    def images(self, part: str) -> Iterator[np.ndarray]:
        """The images of a part, (C, H, W) uint8 each. Raises DataError."""
        for file in self.files[part]:
            with _opened(file, self.name) as content:
                yield decode(content, _where(file, self.name), self.shape)


def folder_images(name: str) -> FolderImages:
    """What the data set `name` holds; remembered while its files do not change.

    Raises DataError, in one sentence that names the file, as `class_folders` does and for an image
    whose header cannot be read or which has another size than the first.
    """
    return _examined(name, class_folders(name))


@lru_cache(maxsize=8)
def _examined(name: str, folders: ClassFolders) -> FolderImages:
    files = {"train": folders.train, "test": folders.test}
    first, shape = folders.train[0], (0, 0, 0)
    for file in (*folders.train, *folders.test):
        with _opened(file, name) as content:
            own = header(content, _where(file, name))
        if file is first:
            shape = own
        if own[1:] != shape[1:]:
            sizes = [f"{height}×{width}" for _, height, width in (own, shape)]
            raise DataError(
                f"{_where(file, name)} is {sizes[0]} pixels, and {first.name} is {sizes[1]}; all "
                "must have one size"
            )
        shape = max(shape, own)
    return FolderImages(name, folders.classes, files, shape)


def _opened(file: ImageFile, name: str) -> IO[bytes]:
    """The content of a file. Raises DataError if it is no longer the one that was found."""
    try:
        content = Path(file.path).open("rb")  # noqa: SIM115, the caller closes it
    except OSError as error:
        raise DataError(f"{_where(file, name)} cannot be read: {error.strerror}") from error
    state = os.fstat(content.fileno())
    if (state.st_size, state.st_mtime_ns) != (file.size, file.modified):
        content.close()
        raise DataError(f"{_where(file, name)} has changed meanwhile; start again")
    return content


def _where(file: ImageFile, name: str) -> str:
    return f"{file.name} of the data set {name}"
