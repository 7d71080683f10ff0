"""`Downloads`: those that a server has started, each in a process of its own.

As a program, `python -m backend.jobs.downloads` is such a process: it reads what to fetch
from its standard input, and ends when that ends, so that it does not outlive the server. What has
arrived stays, and the next download goes on with it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from backend.data_folders.folders import DataError
from backend.data_folders.named import HubSet
from backend.data_folders.preparation import prepare
from backend.jobs.local_executor import python_path

MOST = 4
"""Downloads at a time."""
_SECONDS = 10.0
"""For a download to end that is cancelled."""


@dataclass(frozen=True)
class _Download:
    process: subprocess.Popen[str]
    reader: threading.Thread


class Downloads:
    """The downloads of a server, by the name of their folder."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is added to the server's own."""
        self._environment = dict(environment)
        self._lock = threading.Lock()
        self._running: dict[str, _Download] = {}
        self._problems: dict[str, str] = {}

    def start(self, name: str, wanted: HubSet) -> None:
        """Start one, unless it runs. Raises DataError if too many do."""
        with self._lock:
            if name in self._running:
                return
            if len(self._running) >= MOST:
                listed = ", ".join(self._running)
                raise DataError(f"{MOST} data sets are being fetched ({listed}); wait for one")
            self._problems.pop(name, None)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={**os.environ, **self._environment, "PYTHONPATH": python_path()},
                start_new_session=True,  # Ctrl-C in the terminal reaches the server alone
            )
            order = json.dumps([name, wanted]) + "\n"
            reader = threading.Thread(target=self._follow, args=(name, process, order), daemon=True)
            reader.start()
            self._running[name] = _Download(process, reader)

    def cancel(self, name: str) -> None:
        """End one, if it runs, and wait for its end. What has arrived stays."""
        with self._lock:
            download = self._running.get(name)
        if download:
            download.process.terminate()
            download.reader.join(_SECONDS)

    def runs(self, name: str) -> bool:
        """Whether this server is fetching the set."""
        with self._lock:
            return name in self._running

    def problem(self, name: str) -> str:
        """Why the last download of the set failed, in a sentence; empty if it did not."""
        with self._lock:
            return self._problems.get(name, "")

    def close(self) -> None:
        """End all."""
        with self._lock:
            names = list(self._running)
        for name in names:
            self.cancel(name)

    def _follow(self, name: str, process: subprocess.Popen[str], order: str) -> None:
        """Say what to fetch, and wait for the end. Only this thread writes to the process."""
        assert process.stdout
        assert process.stdin
        try:
            process.stdin.write(order)
            process.stdin.flush()
            began = True
        except OSError:  # the process has ended
            began = False
        with process.stdout as output:
            said = output.read().strip()
        code = process.wait()
        with suppress(OSError):  # of what could not be written
            process.stdin.close()
        is_whole = code == 0 and began
        if not said and not is_whole and code != -signal.SIGTERM:  # that of `cancel`
            how = f"exit status {code}" if code >= 0 else f"signal {-code}"
            said = f"the download of {name} ended with {how}; the lab's log says why"
        with self._lock:
            del self._running[name]
            if said:
                self._problems[name] = said


def main() -> int:
    """Fetch the set that standard input names; prints why it cannot be had."""
    name, wanted = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_server, daemon=True).start()
    try:
        prepare(name, HubSet(*wanted))
    except DataError as error:
        print(error)
        return 1
    return 0


def _end_with_server() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
