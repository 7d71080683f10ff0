"""`Outbox`: the reports that the server has not acknowledged, in a bounded file of JSON lines.

Each report is written to the file before it is sent, so that the points before a checkpoint survive
the worker. Before a run is resumed, the server stores what its last attempt left here (`unsent`).
Storing a report twice does no harm. While the disk is full, one report stays in memory instead,
and the writer waits.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from backend.training.checkpoints.files import is_full


class Outbox:
    """A first-in first-out queue of reports in the file `path`, for one writer and one reader."""

    def __init__(self, path: Path, limit: int) -> None:
        self._limit = limit
        self._file = path.open("w+b", buffering=0)
        self._places: deque[tuple[int, int]] = deque()
        self._end = 0
        self.unsaved: bytes | None = None
        """The newest report, if the disk had no space for it."""

    def __len__(self) -> int:
        return len(self._places) + (self.unsaved is not None)

    @property
    def full(self) -> bool:
        """Whether the file has `limit` bytes; it is emptied when everything was sent."""
        return self._end >= self._limit

    def append(self, report: bytes) -> None:
        """Add a report. If the disk is full it is `unsaved`: call `retry` before the next."""
        self.unsaved = report
        self.retry()

    def retry(self) -> bool:
        """Try to write the unsaved report; returns whether there is none any more."""
        if self.unsaved is None:
            return True
        try:
            self._write(self.unsaved + b"\n")
        except OSError as error:
            if not is_full(error):
                raise
            return False
        self._places.append((self._end, len(self.unsaved)))
        self._end += len(self.unsaved) + 1
        self.unsaved = None
        return True

    def head(self) -> bytes:
        """The oldest report."""
        unsaved = self.unsaved  # read once: the writer may change it at any moment
        if not self._places and unsaved is not None:
            return unsaved
        start, length = self._places[0]
        return os.pread(self._file.fileno(), length, start)

    def drop(self) -> None:
        """Remove the oldest report, which has arrived."""
        if self._places:
            self._places.popleft()
        else:
            self.unsaved = None
        if not self._places:
            self._file.truncate(0)
            self._end = 0

    def _write(self, line: bytes) -> None:
        place = self._end
        while line:  # a large write may be incomplete
            count = os.pwrite(self._file.fileno(), line, place)
            line, place = line[count:], place + count

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def unsent(path: Path) -> Iterator[bytes]:
    """The complete reports in the outbox of a worker that has ended, oldest first."""
    if path.exists():
        with path.open("rb") as file:
            yield from (line[:-1] for line in file if line.endswith(b"\n"))
