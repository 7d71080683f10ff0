"""Where texts lie: the bundled one, or `*.txt` in a folder of `HOME/datasets` or `GRADLAB_DATA`.

The bundled text is the novel Northanger Abbey by Jane Austen (1775–1817), published in 1817, from
its first chapter to its last line; it is in the public domain.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from backend.data_folders.folders import NAME_IN_WORDS, TEXTS, DataError, data_dir, is_name, names

BUNDLED = Path(__file__).with_name("northanger_abbey.txt")
MAX_BYTES = 200_000_000
"""Bytes of all files of a text together."""
MAX_CHARACTERS = 4096
"""Different characters of a text; each is an output of the network."""
KEPT = 4
"""Texts that a process keeps in memory."""


class Text(NamedTuple):
    """A text as the indices of its characters in the alphabet."""

    alphabet: str
    """The characters that occur, sorted."""
    indices: Tensor
    """Of each character, (length,) int64."""


def text(folder: str) -> Text:
    """The text of a folder, its files in the order of their names; "": the bundled novel.

    Raises:
        DataError: There is no such text, or it cannot be read.
    """
    files = _files(folder) if folder else (BUNDLED,)
    stamps = [path.stat() for path in files]
    if (size := sum(s.st_size for s in stamps)) > MAX_BYTES:
        raise DataError(
            f"the text {folder} has {size:,} bytes; at most {MAX_BYTES:,} are read at once"
        )
    return _read(files, tuple((s.st_size, s.st_mtime_ns) for s in stamps))


def _files(folder: str) -> tuple[Path, ...]:
    if not is_name(folder):
        raise DataError(
            f"folder is {folder!r}; it must be {NAME_IN_WORDS}, or empty for the bundled text: "
            f"{_available()}"
        )
    place = data_dir() / folder
    files = tuple(sorted(place.glob(TEXTS))) if place.is_dir() else ()
    if not files:
        raise DataError(f"folder is {folder!r}, which has no text; {_available()}")
    return files


def _available() -> str:
    if present := names(TEXTS):
        return f"{data_dir()} has the texts {', '.join(present)}"
    return f"{data_dir()} has no text, a folder with files *.txt"


@lru_cache(KEPT)
def _read(files: tuple[Path, ...], stamps: tuple[tuple[int, int], ...]) -> Text:
    """The text of the files; `stamps` change where a file does."""
    content = "\n".join(map(_content, files))
    alphabet = "".join(sorted(set(content)))
    if len(alphabet) > MAX_CHARACTERS:
        raise DataError(
            f"the text has {len(alphabet):,} different characters; each is an output of the "
            f"network, and at most {MAX_CHARACTERS:,} are allowed"
        )
    place = {character: i for i, character in enumerate(alphabet)}
    return Text(alphabet, torch.tensor([place[c] for c in content], dtype=torch.int64))


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file.name} is not text in UTF-8 (byte {error.start:,}); save it in that encoding"
        ) from error
