"""One process prepares a data set, or its decoded images, at a time; others read how far it is."""

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

INTERVAL = 0.25
"""Seconds between two looks at the lock of another process, and between two notes of progress."""


class Amount(NamedTuple):
    """Bytes or images that are there, and of all; 0 of 0 as long as that is not known."""

    done: int = 0
    total: int = 0


Progress = Callable[[int, int], None]
"""Told of what is there, and of all."""


def silent(done: int, total: int) -> None:
    """A progress that nobody looks at."""


@contextmanager
def alone(place: Path, waiting: Progress = silent) -> Iterator[Progress]:
    """While no other process prepares the file or folder `place`; gives what tells the progress.

    As long as another process prepares it, `waiting` is told of the progress of that one.
    """
    from filelock import FileLock, Timeout

    lock, note = FileLock(_lock(place)), _Note(_note(place))
    while not lock.is_locked:
        try:
            lock.acquire(timeout=INTERVAL)
        except Timeout:
            waiting(*_read(place))
    try:
        note.remove()  # of a process that was killed
        yield note.tell
    finally:
        note.remove()
        lock.release()


def amount_prepared(place: Path) -> Amount | None:
    """How far the process is that prepares `place`; None if no process does."""
    try:
        with _lock(place).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: others may look as well
    except BlockingIOError:
        return _read(place)
    except OSError:  # there is no lock, or it cannot be read
        pass
    return None


class _Note:
    """The file that says how far a process is."""

    def __init__(self, path: Path) -> None:
        self._path, self._written = path, 0.0

    def tell(self, done: int, total: int) -> None:
        """Write the progress, unless it was just written. A disk without room is no error here."""
        now = time.monotonic()
        if now - self._written < INTERVAL:
            return
        self._written = now
        fresh = self._path.with_name(f"{self._path.name}.new")
        with suppress(OSError):
            fresh.write_text(json.dumps([done, total]), encoding="utf-8")
            fresh.replace(self._path)

    def remove(self) -> None:
        with suppress(OSError):
            self._path.unlink()


def _read(place: Path) -> Amount:
    try:
        done, total = json.loads(_note(place).read_text(encoding="utf-8"))
        return Amount(int(done), int(total))
    except (OSError, ValueError, TypeError):
        return Amount()


def _lock(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


def _note(place: Path) -> Path:
    return place.with_name(f".{place.name}.progress")
