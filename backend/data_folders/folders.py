"""Where data sets lie: folders of `HOME/datasets`, or of `GRADLAB_DATA`.

A configuration names a folder. It never holds a path, so that whoever may start a run cannot choose
what is read on the machine of the lab.
"""

import re
from pathlib import Path

from backend.data_folders.named import NAMED
from backend.settings import settings

NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""What the name of a data set's folder may be made of."""

PARQUET = "train-*.parquet"
"""Files that a folder of images in Parquet has."""
IMAGES = "CLASS/*.png"
"""Those of a folder with a folder of images for each class, of any of `IMAGE_SUFFIXES`."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""Endings of the names of image files, in small or capital letters."""


class DataError(ValueError):
    """A data set cannot be used; the message is one sentence for people."""


def data_dir() -> Path:
    """The folder whose folders are data sets."""
    return settings().data_dir


def cache_dir() -> Path:
    """The folder of decoded images, which may be removed at any time."""
    return settings().home / "cache" / "images"


def names(pattern: str = PARQUET) -> list[str]:
    """The names of the folders with files of a pattern, sorted."""
    try:
        folders = [path for path in data_dir().iterdir() if _has(path, pattern)]
    except OSError:  # there is no such folder yet
        return []
    return sorted(path.name for path in folders if is_name(path.name))


def first_name(pattern: str = PARQUET) -> str:
    """The first of these names, which the form begins with; "" if there is none."""
    return next(iter(names(pattern)), "")


def _has(folder: Path, pattern: str) -> bool:
    """Whether a folder has files of a pattern."""
    if pattern != IMAGES:
        return any(folder.glob(pattern))
    files = (path for depth in ("[!.]*/*", "train/[!.]*/*") for path in folder.glob(depth))
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in files)


def folder_of(name: str, pattern: str = PARQUET) -> Path:
    """The folder of the data set `name`, with files of a pattern. Raises DataError without it."""
    if not name:
        raise DataError(f"folder is empty; {_available(pattern)}")
    if not is_name(name):
        raise DataError(
            f"folder is {name!r}; it must be a name of letters, digits, '.', '_' and '-' without "
            f"'..': {_available(pattern)}"
        )
    folder = data_dir() / name
    if not folder.is_dir():
        raise DataError(absent(name, pattern))
    return folder


def absent(name: str, pattern: str = PARQUET) -> str:
    """That a data set is not there: where it was looked for, and how it gets there."""
    if name not in NAMED:
        return f"there is no data set {name!r}; {_available(pattern)}"
    return (
        f"the data set {name} is not in {data_dir()}: run `gradlab data get {name}` where there is "
        f"a network, and copy the folder {name} there if that is another machine"
    )


def is_name(text: str) -> bool:
    """Whether a folder of data may be called `text`."""
    return bool(NAME.fullmatch(text)) and ".." not in text and text != "."


def _available(pattern: str) -> str:
    """The data sets that there are, in words."""
    found = names(pattern)
    if found:
        return f"{data_dir()} has {', '.join(found)}"
    patterns = {
        PARQUET: f"{PARQUET} and test-*.parquet",
        IMAGES: f"{IMAGES} (or .jpg, .bmp, .webp)",
    }
    files = patterns.get(pattern, pattern)
    return f"{data_dir()} has no data set, a folder with files {files}"
