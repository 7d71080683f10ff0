"""`states`: which data sets there are, which are being fetched, and which could be."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from backend.data_folders.exclusive import amount_prepared
from backend.data_folders.folders import (
    PARQUET,
    Pattern,
    absent,
    data_dir,
    has_files,
    is_name,
)
from backend.data_folders.manifest import Manifest, checksum, manifest_of
from backend.data_folders.named import NAMED
from backend.machine_memory import in_words

READ_AT_ONCE = 2**28
"""Bytes of a set up to which its state includes the checksums; of a larger one, sizes alone."""


@dataclass(frozen=True)
class State:
    """A data set by its name, and how far it is."""

    name: str
    state: Literal["absent", "partial", "preparing", "broken", "ready"]
    description: str
    done: int = 0
    """Bytes of its files that are there."""
    total: int = 0
    """Bytes of all its files, or 0 if that is not known."""
    problem: str = ""
    """What is wrong with a broken set."""
    is_damaged: bool = False
    """Whether files that a download has brought are damaged or missing."""

    @property
    def words(self) -> str:
        """The state as a table has it."""
        get = f"gradlab data get {self.name}"
        return {
            "absent": f"not here: {get}",
            "partial": f"partly here, {in_words(self.done)}: {get} goes on",
            "preparing": "is being prepared",
            "broken": f"damaged: {get}",
            "ready": f"here, {in_words(self.done)}",
        }[self.state]

    def sentence(self, files: Pattern = PARQUET) -> str:
        """The state with what to do, for the field in which files of a kind are chosen."""
        return {
            "absent": absent(self.name, files),
            "partial": (
                f"the download of {self.name} into {data_dir()} was interrupted after "
                f"{in_words(self.done)}: `gradlab data get {self.name}` goes on with it"
            ),
            "preparing": f"{self.name} is being prepared",
            "broken": self.problem,
            "ready": f"{self.name} is here, {in_words(self.done)}",
        }[self.state]


def states() -> list[State]:
    """Every set that has a name, then the other folders, each sorted. No file is read."""
    there = [path.name for path in _folders()]
    return [state(name, read=False) for name in [*NAMED, *sorted({*there} - NAMED.keys())]]


def state(name: str, files: Pattern | None = None, read: bool = True) -> State:
    """The state of the set `name`, in whose folder there must be `files`.

    `read`: compare its files with their checksums, which are remembered while they do not change.
    """
    folder = data_dir() / name
    partial = folder.with_name(f".{name}.part")
    described = _description(name)
    if amount := amount_prepared(folder):
        return State(name, "preparing", described, *amount)
    if not folder.is_dir():
        if not partial.is_dir():
            return State(name, "absent", described)
        return State(name, "partial", described, _size(partial))
    size = _size(folder)
    damaged = _damaged(manifest_of(folder), folder, read)
    problem = ""
    if damaged:
        which, verb = ", ".join(damaged), "are" if len(damaged) > 1 else "is"
        problem = (
            f"{which} of {name} {verb} damaged or missing: run `gradlab data get {name}`, which "
            "fetches damaged files again"
        )
    elif files and not has_files(folder, files):
        problem = f"the data set {name} has no file {files} in {folder}"
    now = "broken" if problem else "ready"
    return State(name, now, described, size, size, problem, bool(damaged))


def _damaged(manifest: Manifest | None, folder: Path, read: bool) -> list[str]:
    if manifest is None:
        return []
    if read and manifest.size <= READ_AT_ONCE:
        return manifest.damaged(folder, _remembered)
    return manifest.damaged(folder, lambda path: manifest.files[path.name].sha256)


def _remembered(path: Path) -> str:
    stat = path.stat()
    return _checksum(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _checksum(path: Path, _size: int, _modified: int) -> str:
    return checksum(path)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; some may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def _description(name: str) -> str:
    if name in NAMED:
        return NAMED[name].description
    manifest = manifest_of(data_dir() / name)
    return f"{manifest.source} of the hub" if manifest else "a folder of your own"


def _folders() -> list[Path]:
    try:
        paths = [path for path in data_dir().iterdir() if path.is_dir()]
    except OSError:
        return []
    return [path for path in paths if is_name(path.name)]
