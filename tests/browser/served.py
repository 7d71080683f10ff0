"""A lab in a process of its own, served as a person serves it."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from backend.config import ACTIVE

PROGRAM = (sys.executable, "-m", "backend.cli")
START_URL = re.compile(r"(http://\S+)/#token=(\S+)")


class ServedLab:
    """`gradlab serve` of a home; `start` and `kill` it as often as a test likes."""

    def __init__(
        self, home: Path, slots: int = 2, program: Sequence[str] = PROGRAM, *, race: bool = False
    ) -> None:
        """`race`: whether its Home page starts the race, which other tests would trip over."""
        self.home, self.slots, self.program = home, slots, program
        self.race = "--race" if race else "--no-race"
        self.port = free_port()
        self.url = self.token = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def start_url(self) -> str:
        return f"{self.url}/#token={self.token}"

    def start(self) -> None:
        command = [*self.program, "serve", "--no-open"]
        command += ["--port", str(self.port), "--home", str(self.home), "--slots", str(self.slots)]
        command += [self.race]
        with (self.home / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
            )
        assert self._process.stdout
        for line in self._process.stdout:
            if found := START_URL.search(line):
                self.url, self.token = found.groups()
                return
        raise AssertionError((self.home / "server.log").read_text())

    def runs(self) -> set[str]:
        """The ids of all runs."""
        with self.client() as client:
            return {run["id"] for run in client.get("/runs").json()["runs"]}

    def start_run(self, name: str, steps: int, **changes: Any) -> dict[str, Any]:
        """Start a run of the greeting's estimators that a busy machine takes in its stride."""
        with self.client() as client:
            greeting = client.get("/catalogue", timeout=60).json()["greeting"]
            network = {"name": "mlp", "width": 16, "depth": 1}
            config = {**greeting, "name": name, "steps": steps, "network": network, **changes}
            return client.post("/runs", json=config, timeout=60).raise_for_status().json()

    def finished(self, run: str) -> dict[str, Any]:
        """A run once it has finished."""
        with self.client() as client:
            end = time.monotonic() + 60
            while (answer := client.get(f"/runs/{run}").json())["status"] != "finished":
                assert answer["status"] in ACTIVE, answer["error"]
                assert time.monotonic() < end, "the run takes too long"
        return answer

    def cancel_all(self) -> None:
        """Cancel every run that has not ended."""
        with self.client() as client:
            for run in client.get("/runs").json()["runs"]:
                if run["status"] in ACTIVE:
                    client.post(f"/runs/{run['id']}/cancel")

    def client(self) -> httpx.Client:
        """A client of the lab's API that is signed in."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=f"{self.url}/api", headers=headers, trust_env=False)

    def stop(self) -> None:
        """As Ctrl-C does: runs are checkpointed."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As a crash does: workers go on without it."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(30)
        assert self._process.stdout
        self._process.stdout.close()
        self._process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
