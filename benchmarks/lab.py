"""A lab served for a benchmark, in a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServedLab:
    url: str
    token: str
    pid: int

    @property
    def start_url(self) -> str:
        return f"{self.url}/#token={self.token}"


@contextmanager
def serving(home: Path, *, slots: int = 2, race: bool = False) -> Iterator[ServedLab]:
    """`gradlab serve` on a free port of loopback, until the block ends.

    `race`: whether its Home page starts the race, which would slow other measurements down.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "serve", "--no-open", "--port", "0",
         "--home", str(home), "--slots", str(slots), "--race" if race else "--no-race"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        url, token = process.stdout.readline().split()[-1].split("/#token=")
        yield ServedLab(url, token, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
