"""`Journal`: the folder `HOME/attached/<id>` of a training loop that reports by itself.

It has the loop's registration and the reports that no lab has acknowledged. While the loop lives it
has a lock on the folder. What a loop has left there, the lab of this home stores.
"""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from backend.attach.registration import ATTEMPT, Registration
from backend.jobs.run_folders import outbox

_FOLDER, _RUN, _LOCK = "attached", "run.json", "lock"

_log = logging.getLogger("gradlab")


class Journal:
    """The folder of a living loop, which is its own until `close` or the end of the process."""

    def __init__(self, home: Path, registration: Registration, url: str | None) -> None:
        self.run = registration.id
        self.path = home / _FOLDER / registration.id
        self.path.mkdir(mode=0o700, parents=True)
        self._file: IO[str] = (self.path / _LOCK).open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        # Last, because without it nobody takes the folder for a journal.
        content = {"registration": registration.model_dump(mode="json"), "url": url}
        _write(self.path / _RUN, json.dumps(content))

    @property
    def outbox(self) -> Path:
        """The file of the reports."""
        return outbox_of(self.path)

    def close(self, *, delivered: bool) -> None:
        """Leave the folder; it is removed if the lab has all of it."""
        if delivered:
            remove(self.path)
        self._file.close()


def outbox_of(folder: Path) -> Path:
    """The file of the reports in a journal."""
    return outbox(folder, ATTEMPT)


def left(home: Path, named: set[Path]) -> Iterator[tuple[Path, Registration]]:
    """The journals, for the lab of this home, of loops that have ended.

    Those for a lab elsewhere, and those that cannot be read, are left alone. The log names the
    latter, unless they are in `named`, where they are added.
    """
    for path in sorted((home / _FOLDER).glob(f"*/{_RUN}")):
        if not _is_alive(path.parent):
            with suppress(FileNotFoundError):
                registration = _registration(path, named)
                if registration is not None:
                    yield path.parent, registration


def _registration(path: Path, named: set[Path]) -> Registration | None:
    """What a journal for the lab of its home registers; None for others."""
    try:
        content = json.loads(path.read_text())
        elsewhere = content["url"] is not None
        return None if elsewhere else Registration.model_validate(content["registration"])
    except (ValueError, TypeError, KeyError) as error:  # a newer version's, or a damaged one
        if path not in named:
            named.add(path)
            _log.warning("%s cannot be read: %s", path, error)
        return None


def remove(folder: Path) -> None:
    """Remove a journal."""
    (folder / _RUN).unlink(missing_ok=True)  # first: what is left is no journal
    shutil.rmtree(folder, ignore_errors=True)


def _is_alive(folder: Path) -> bool:
    try:
        file = (folder / _LOCK).open("r")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)
