"""Copies of a home: a server that starts on one knows it, and `gradlab backup` makes one.

`HOME/place` records the inode of the file `HOME/instance`, which no copy shares. A copy takes a new
instance id and a new token, and does not go on with the runs of the original: those are going on
there, or are to be resumed there.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from backend.home import Home, HomeError, draw_again

MACHINE = Path("/etc/machine-id")
RECORD = "place"


@dataclass(frozen=True)
class Place:
    """Where a home is: its path, the inode of its instance file, the id of the machine."""

    path: str
    inode: int
    machine: str

    @classmethod
    def here(cls, path: Path) -> "Place":
        """That of the home at `path`."""
        machine = MACHINE.read_text().strip() if MACHINE.exists() else ""
        return cls(str(path.resolve()), (path / "instance").stat().st_ino, machine)


def _recorded(path: Path) -> Place | None:
    try:
        return Place(**json.loads((path / RECORD).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def original_of(home: Home) -> str | None:
    """The path of the home that this one is a copy of; None if it is no copy.

    A home that was moved is no copy: on this machine, nothing is left where it was.
    """
    here, recorded = Place.here(home.path), _recorded(home.path)
    if recorded is None or recorded.inode == here.inode:
        return None
    elsewhere = recorded.path != here.path
    same_machine = bool(here.machine) and recorded.machine == here.machine
    if recorded.inode and same_machine and elsewhere:
        left = Path(recorded.path) / "instance"
        return recorded.path if left.exists() else None
    return recorded.path


def settle(home: Home) -> None:
    """Record that the home is here. Raises HomeError if it cannot be written."""
    here = Place.here(home.path)
    if _recorded(home.path) != here:
        _write(home.path, here)


def _write(path: Path, place: Place) -> None:
    try:
        fresh = path / f"{RECORD}.new"
        fresh.write_text(json.dumps(place.__dict__))
        fresh.replace(path / RECORD)
    except OSError as error:
        raise HomeError(f"{path / RECORD} cannot be written: {error.strerror}") from error


def with_identity(home: Home, token: str | None) -> Home:
    """A copy with an instance id and a token of its own; a given `token` is kept."""
    instance = draw_again(home.path / "instance", 6)
    drawn = draw_again(home.path / "token", 32)
    return replace(home, instance=instance, token=token or drawn)


def why_interrupted(original: str) -> str:
    """What the log of a run says that was active when its home was copied."""
    return (
        f"Interrupted: this lab is a copy of {original}, and the run was active there when the "
        "copy was made. Fork it to go on from its newest checkpoint here."
    )


class BackupError(Exception):
    """There is no backup; the message says why."""


def backup(home: Path, to: Path) -> int:
    """Copy a home to the new folder `to`, while it is served or not; returns its size in bytes.

    Checkpoints and plug-ins come first, then the reports that the server does not have yet, then
    the database as it is at one moment: together these have every point before a checkpoint. The
    token stays behind.

    Raises BackupError if there is no lab, `to` exists, or it cannot be written; what was written
    is removed then.
    """
    if not (home / "lab.db").is_file():
        raise BackupError(f"there is no lab in {home}; give its home with --home")
    if to.exists():
        raise BackupError(f"{to} exists; give a folder that does not")
    part = to.with_name(f"{to.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700, parents=True)
        for path in _files(home):
            _copy(path, part / path.relative_to(home))
        _copy_database(home / "lab.db", part / "lab.db")
        # No file has the inode 0, so that a server on the backup knows what it is.
        _write(part, Place(str(home.resolve()), 0, ""))
        part.rename(to)
    except (OSError, sqlite3.Error, HomeError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise BackupError(f"the backup {to} cannot be made: {_words(error)}") from error
    return sum(path.stat().st_size for path in to.rglob("*") if path.is_file())


def _files(home: Path) -> Iterator[Path]:
    """Checkpoints of all runs, which lie in folders of the run's folder, plug-ins, outboxes."""
    yield from (path for path in (home / "runs").glob("*/*/*") if path.is_file())
    yield from (path for path in (home / "plugins").rglob("*") if path.is_file())
    # After the checkpoints: a worker writes the points before a checkpoint here before that.
    yield from (home / "runs").glob("*/outbox-*")


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):  # the run has replaced this checkpoint since
        shutil.copy2(path, to)


def _copy_database(path: Path, to: Path) -> None:
    # In one step: the copy would begin again whenever the server writes between two.
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(to)) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    to.chmod(0o600)


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
