"""Reports that are written but not yet acknowledged: a bounded file of JSON lines.

Each report is in the file before it is sent, so that what a checkpoint presupposes survives
the worker: before a run is resumed, the server takes in what its last attempt left here
(`unsent`); reports are idempotent, so that one which had arrived after all does no harm.
While the disk is full one report is held in memory instead, and its writer waits.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from backend.training.checkpoints.files import is_full


class Outbox:
    """A first-in first-out queue of reports in `path`, of one writer and one reader."""

    def __init__(self, path: Path, limit: int) -> None:
        self._limit = limit
        self._file = path.open("w+b", buffering=0)
        self._places: deque[tuple[int, int]] = deque()
        self._end = 0
        self.held: bytes | None = None
        """The newest report, for which the disk had no room."""

    def __len__(self) -> int:
        return len(self._places) + (self.held is not None)

    @property
    def full(self) -> bool:
        """Whether `limit` bytes are on disk; the file shrinks when all of it was sent."""
        return self._end >= self._limit

    def append(self, report: bytes) -> None:
        """Add a report. It is `held` if the disk is full: call `settle` before the next."""
        self.held = report
        self.settle()

    def settle(self) -> bool:
        """Try to write what is held; whether nothing is held any more."""
        if self.held is None:
            return True
        try:
            self._write(self.held + b"\n")
        except OSError as error:
            if not is_full(error):
                raise
            return False
        self._places.append((self._end, len(self.held)))
        self._end += len(self.held) + 1
        self.held = None
        return True

    def head(self) -> bytes:
        """The oldest report."""
        held = self.held  # once: the writer may settle it at any moment
        if not self._places and held is not None:
            return held
        start, length = self._places[0]
        return os.pread(self._file.fileno(), length, start)

    def drop(self) -> None:
        """The oldest report has arrived."""
        if self._places:
            self._places.popleft()
        else:
            self.held = None
        if not self._places:
            self._file.truncate(0)
            self._end = 0

    def _write(self, line: bytes) -> None:
        place = self._end
        while line:  # a write of many megabytes may be cut short
            count = os.pwrite(self._file.fileno(), line, place)
            line, place = line[count:], place + count

    def close(self) -> None:
        self._file.close()


def unsent(path: Path) -> Iterator[bytes]:
    """The complete reports that a worker which is gone has left in `path`, oldest first."""
    if path.exists():
        with path.open("rb") as file:
            yield from (line[:-1] for line in file if line.endswith(b"\n"))
