"""The files of a data set with a folder of images for each class, found without reading them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from backend.data_folders.folders import IMAGE_SUFFIXES, IMAGES, DataError, folder_of
from backend.training.image_files.source import PARTS


class ImageFile(NamedTuple):
    """A file of one image, and what changes with its content."""

    name: str
    """Its path in the folder of the data set, such as `train/cat/1.png`."""
    path: str
    """With links followed."""
    size: int
    modified: int
    """Nanoseconds."""
    label: int


class ClassFolders(NamedTuple):
    """The images of a data set in order: classes by name, and within each the files by name."""

    classes: tuple[str, ...]
    """The name of each label."""
    train: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...]
    """Empty if the folder has no test part."""


class _Entry(NamedTuple):
    """A file or folder by its path in the folder of the data set, and on the machine."""

    name: str
    path: Path


def class_folders(name: str) -> ClassFolders:
    """The files of train/CLASS and test/CLASS, or of CLASS, of the data set `name`.

    Raises DataError, in one sentence, for no class folder, fewer than two classes, a class of the
    test part alone, a class folder without images, a folder inside one, or a link that leads
    outside the folder of the data set.
    """
    folder = folder_of(name, IMAGES)
    try:
        return _Reader(name, folder.resolve()).read()
    except OSError as error:
        what = f"{error.filename or folder}: {error.strerror or error}"
        raise DataError(f"the data set {name} cannot be read: {what}") from error


@dataclass(frozen=True)
class _Reader:
    name: str
    root: Path
    """The folder of the data set, with links followed."""

    def read(self) -> ClassFolders:
        """The files of both parts."""
        parts = self._parts()
        train, test = (self._folders(parts[p]) if p in parts else [] for p in PARTS)
        classes = tuple(_class(folder) for folder in train)
        if len(classes) < 2:
            listed = f"one class folder, {train[0].name}" if train else "no class folder"
            raise DataError(
                f"{self._where(parts['train'])} has {listed}; it must have at least two folders of "
                "images, whose names are the classes"
            )
        labels = {folder: label for label, folder in enumerate(classes)}
        for folder in test:
            if _class(folder) not in labels:
                raise DataError(
                    f"the class {folder.name} of the data set {self.name} is not in train, which "
                    f"has {', '.join(classes)}"
                )
        if "test" in parts and not test:
            raise DataError(f"{self._where(parts['test'])} has no class folder")
        read = (
            tuple(f for folder in of_part for f in self._images(folder, labels))
            for of_part in (train, test)
        )
        return ClassFolders(classes, *read)

    def _parts(self) -> dict[str, _Entry]:
        """The folder of each part; without folders train and test, all is the training part."""
        whole = _Entry("", self.root)
        parts = {folder.name: folder for folder in self._folders(whole)}
        others = sorted(parts.keys() - set(PARTS))
        if "train" not in parts or (others and not self._folders(parts["train"])):
            return {"train": whole}
        if others:
            raise DataError(
                f"the data set {self.name} has the folder {others[0]} beside train; only train and "
                "test are read there"
            )
        return parts

    def _folders(self, folder: _Entry) -> list[_Entry]:
        return [self._inside(entry) for entry in self._entries(folder) if entry.path.is_dir()]

    def _images(self, folder: _Entry, labels: dict[str, int]) -> Iterator[ImageFile]:
        label, count = labels[_class(folder)], 0
        for entry in self._entries(folder):
            is_folder = entry.path.is_dir()
            if not is_folder and not entry.name.lower().endswith(IMAGE_SUFFIXES):
                continue
            name, path = self._inside(entry)
            if not path.is_file():
                what = "a folder inside that of a class" if is_folder else "not a file"
                raise DataError(f"{self._where(entry)} is {what}; images must be files there")
            state, count = path.stat(), count + 1
            yield ImageFile(name, str(path), state.st_size, state.st_mtime_ns, label)
        if not count:
            endings = ", ".join(IMAGE_SUFFIXES)
            raise DataError(f"{self._where(folder)} has no image, a file {endings}")

    def _entries(self, folder: _Entry) -> list[_Entry]:
        """What a folder holds, sorted by name; hidden files are left out."""
        prefix = f"{folder.name}/" if folder.name else ""
        paths = [path for path in folder.path.iterdir() if not path.name.startswith(".")]
        return sorted(_Entry(prefix + path.name, path) for path in paths)

    def _inside(self, entry: _Entry) -> _Entry:
        """The entry with links followed, which must stay inside the folder of the data set."""
        if not entry.path.is_symlink():
            return entry
        target = Path(os.path.realpath(entry.path))  # never raises, even for a link to itself
        if not target.is_relative_to(self.root):
            raise DataError(
                f"{self._where(entry)} is a link that leads outside its folder; put the files "
                "themselves there"
            )
        return _Entry(entry.name, target)

    def _where(self, entry: _Entry) -> str:
        whole = f"the data set {self.name}"
        return f"{entry.name} of {whole}" if entry.name else whole


def _class(folder: _Entry) -> str:
    """The name of the class whose images a folder holds."""
    return folder.name.rpartition("/")[2]
