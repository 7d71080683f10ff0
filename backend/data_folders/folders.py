"""Where data sets lie: folders of `HOME/datasets`, or of `GRADLAB_DATA`.

A configuration names a folder. It never holds a path, so that whoever may start a run cannot choose
what is read on the machine of the lab.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from backend.data_folders.named import NAMED
from backend.settings import settings

NAME = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
"""The name of a data set's folder, as a regular expression."""
LONGEST_NAME = 200
"""Characters."""
NAME_IN_WORDS = (
    f"a name of letters, digits, '_' and '-', with single dots between them, of at most "
    f"{LONGEST_NAME} characters"
)

Pattern = Literal["train-*.parquet", "CLASS/*.png", "*.npz", "*.csv", "*.txt"]
"""Files that make a folder a data set of some kind."""
PARQUET: Pattern = "train-*.parquet"
"""Images in Parquet."""
IMAGES: Pattern = "CLASS/*.png"
"""A folder of images for each class, of any of `IMAGE_SUFFIXES`."""
TEXTS: Pattern = "*.txt"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""Endings of the names of image files, in small or capital letters."""


class DataError(ValueError):
    """A data set cannot be used; the message is one sentence for people."""


_chosen: ContextVar[Path | None] = ContextVar("data folder", default=None)


@contextmanager
def data_at(folder: Path) -> Iterator[None]:
    """Let `folder` be that of the data sets, as a lab's options say, in this block."""
    token = _chosen.set(folder)
    try:
        yield
    finally:
        _chosen.reset(token)


def data_dir() -> Path:
    """The folder whose folders are data sets."""
    return _chosen.get() or settings().data_dir


def cache_dir() -> Path:
    """The folder of decoded images, which may be removed at any time."""
    return settings().home / "cache" / "images"


def names(pattern: Pattern = PARQUET) -> list[str]:
    """The names of the folders with files of a pattern, sorted."""
    try:
        folders = [path for path in data_dir().iterdir() if has_files(path, pattern)]
    except OSError:  # there is no such folder yet
        return []
    return sorted(path.name for path in folders if is_name(path.name))


def has_files(folder: Path, pattern: Pattern) -> bool:
    """Whether a folder has files of a pattern."""
    if pattern != IMAGES:
        return any(folder.glob(pattern))
    files = (path for depth in ("[!.]*/*", "train/[!.]*/*") for path in folder.glob(depth))
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in files)


def folder_of(name: str, pattern: Pattern = PARQUET) -> Path:
    """The folder of the data set `name`, with files of a pattern. Raises DataError without it."""
    if not name:
        raise DataError(f"no folder is chosen: {available(pattern)}")
    if not is_name(name):
        raise DataError(f"folder is {name!r}; it must be {NAME_IN_WORDS}: {available(pattern)}")
    folder = data_dir() / name
    if not folder.is_dir():
        raise DataError(absent(name, pattern))
    return folder


def absent(name: str, pattern: Pattern = PARQUET) -> str:
    """That a data set is not there: where it was looked for, and how it gets there."""
    if name not in NAMED or pattern != PARQUET:
        similar = get_close_matches(name, [*names(pattern), *_to_fetch(pattern)], 1, 0.6)
        hint = f"did you mean {similar[0]!r}? " if similar else ""
        return f"there is no data set {name!r}; {hint}{available(pattern)}"
    return (
        f"the data set {name} is not in {data_dir()}: run `gradlab data get {name}` where there is "
        f"a network, and copy the folder {name} there if that is another machine"
    )


def _to_fetch(pattern: Pattern) -> list[str]:
    """The names under which data sets with files of a pattern can be fetched."""
    return [*NAMED] if pattern == PARQUET else []


def not_written(error: OSError) -> str:
    """Why a file of a data set cannot be written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk of {data_dir()} is full: make room, or let GRADLAB_DATA name a folder on "
            "another disk; what has arrived stays"
        )
    return f"{error.filename or data_dir()} cannot be written: {error.strerror or error}"


def is_name(text: str) -> bool:
    """Whether a folder of data may be called `text`."""
    return len(text) <= LONGEST_NAME and re.fullmatch(NAME, text) is not None


def available(pattern: Pattern) -> str:
    """The data sets that there are, in words."""
    found = names(pattern)
    if found:
        return f"{data_dir()} has {', '.join(found)}"
    patterns = {
        PARQUET: f"{PARQUET} and test-*.parquet",
        IMAGES: f"{IMAGES} (or .jpg, .bmp, .webp)",
    }
    files = patterns.get(pattern, pattern)
    return f"{data_dir()} has no folder with files {files}"
