"""`states`: which data sets there are, which are being fetched, and which could be."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.data_folders.folders import data_dir, is_name
from backend.data_folders.manifest import manifest_of
from backend.data_folders.named import NAMED
from backend.machine_memory import in_words


@dataclass(frozen=True)
class State:
    """A data set by its name, and how far it is."""

    name: str
    state: Literal["absent", "partial", "ready"]
    description: str
    size: int = 0
    """Bytes of its files that are there."""

    @property
    def words(self) -> str:
        """The state as a person reads it."""
        if self.state == "absent":
            return f"not here: gradlab data get {self.name}"
        if self.state == "partial":
            return f"partly here, {in_words(self.size)}: gradlab data get {self.name} goes on"
        return f"here, {in_words(self.size)}"


def states() -> list[State]:
    """Every set that has a name, then the other folders, each sorted."""
    there = {path.name: path for path in _folders()}
    every = [*NAMED, *sorted(there.keys() - NAMED.keys())]
    return [_state(name) for name in every]


def _state(name: str) -> State:
    folder = data_dir() / name
    partial = folder.with_name(f".{name}.part")
    if folder.is_dir():
        place, state = folder, "ready"
    elif partial.is_dir():
        place, state = partial, "partial"
    else:
        return State(name, "absent", NAMED[name].description)
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    return State(name, state, _description(name), size)


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
    return [path for path in paths if is_name(path.name) and not path.name.startswith(".")]
