"""The memory of this machine: how much there is, how much is free, and kills for lack of it.

A control group (a container, a batch job) may allow less than the machine has. Both versions of
Linux's control groups are read; elsewhere the machine's own numbers count.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

FIRST_VICTIM = 800
"""The out-of-memory score added to a worker's, of at most 1000: the server stays."""
WATCH_SECONDS = 5.0
"""How long before the end of a worker a kill counts as its own."""
ROOT = Path("/")


def capacity(root: Path = ROOT) -> int:
    """Bytes that the processes of this lab may take together."""
    limits = (limit for group in _groups(root) if (limit := _limit(group)) is not None)
    return min(psutil.virtual_memory().total, *limits, 2**63)


def free(root: Path = ROOT) -> int:
    """Bytes that are free, or taken by caches that can be given up."""
    rooms = (room for group in _groups(root) if (room := _room(group)) is not None)
    return max(0, min(psutil.virtual_memory().available, *rooms, 2**63))


def kills(root: Path = ROOT) -> int:
    """How many processes the kernel has killed for lack of memory, as far as it can be read."""
    counts = [_entry(root / "proc/vmstat", "oom_kill")]
    for group in _groups(root):
        counts += [
            _entry(group / name, "oom_kill") for name in ("memory.events", "memory.oom_control")
        ]
    return sum(count or 0 for count in counts)


def make_first_victim(root: Path = ROOT) -> None:
    """Let the kernel kill this process before others if the memory is exhausted."""
    path = root / "proc/self/oom_score_adj"
    with suppress(OSError, ValueError):  # another system, or not allowed
        path.write_text(str(max(int(path.read_text()), FIRST_VICTIM)))


class KillWatch:
    """Tells whether the kernel has killed a process for lack of memory a moment ago."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._counts: deque[tuple[float, int]] = deque([(time.monotonic(), kills(root))])

    def look(self) -> None:
        """Note the present count; call it several times in `WATCH_SECONDS`."""
        now = time.monotonic()
        self._counts.append((now, kills(self._root)))
        while len(self._counts) > 2 and self._counts[1][0] < now - WATCH_SECONDS:
            self._counts.popleft()

    def killed(self) -> bool:
        """Whether there was such a kill in the last seconds."""
        return kills(self._root) > self._counts[0][1]


def _groups(root: Path) -> Iterator[Path]:
    """The folders of this process's control group for memory, and of the groups around it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top = root / "sys/fs/cgroup" / controllers
            own = top / path.lstrip("/")
            yield own
            while own != top:
                own = own.parent
                yield own


def _limit(group: Path) -> int | None:
    limits = (_number(group / name) for name in ("memory.max", "memory.limit_in_bytes"))
    return next((limit for limit in limits if limit is not None), None)


def _room(group: Path) -> int | None:
    """What the group's limit leaves; file caches that are not in use can be given up."""
    limit = _limit(group)
    used = (_number(group / name) for name in ("memory.current", "memory.usage_in_bytes"))
    taken = next((value for value in used if value is not None), None)
    if limit is None or taken is None:
        return None
    names = ("total_inactive_file", "inactive_file")
    caches = (_entry(group / "memory.stat", name) for name in names)
    return limit - taken + next((cache for cache in caches if cache is not None), 0)


def _number(path: Path) -> int | None:
    """The number in a file; None without a file, or for "max"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _entry(path: Path, name: str) -> int | None:
    """The number after `name` in a file of lines "name number"."""
    try:
        lines = path.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[:1] == [name])
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def in_words(size: float) -> str:
    """A number of bytes: "5.9 GiB", "310 MiB"."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
