"""A lab without its pages: store, supervisor, and the one route that workers speak to.

In a test's own process (`Lab`), or in one that can be killed (`python lab.py HOME`).
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from backend.jobs.attempt import Limits
from backend.jobs.devices import cpu
from backend.jobs.executor import Job
from backend.jobs.local_executor import LocalExecutor
from backend.jobs.report_decoding import decode
from backend.jobs.run_folders import worker_process
from backend.jobs.supervisor import Supervisor
from backend.store import Store, open_engine
from backend.store.base import ConflictError, MissingError

LIMITS = Limits(silence=4, cancel=1, plugin=30, plugin_import=1, tick=0.02)
ENDED = {"finished", "failed", "cancelled", "diverged"}


class Recording(LocalExecutor):
    """Keeps the jobs that it was given."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.jobs: list[Job] = []

    def start(self, job: Job) -> None:
        self.jobs.append(job)
        super().start(job)


class Lab:
    """A served home. `slots` runs at a time on the CPU."""

    def __init__(self, home: Path, slots: int = 1, limits: Limits = LIMITS) -> None:
        (home / "plugins").mkdir(parents=True, exist_ok=True)
        self.home, self.engine = home, open_engine(f"sqlite:///{home / 'lab.db'}")
        self.store = Store(self.engine)
        self.executor = Recording(home)
        self.supervisor = Supervisor(
            self.store, self.executor, home, [home / "plugins"], slots=slots, devices=[cpu()],
            limits=limits,
        )  # fmt: skip
        self.server = Server(self)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def __enter__(self) -> "Lab":
        self._thread.start()
        lock = {"pid": os.getpid(), "url": f"http://127.0.0.1:{self.server.server_port}"}
        (self.home / "lock").write_text(json.dumps(lock))
        self.supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.shutdown()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()
        self.engine.dispose()

    @property
    def jobs(self) -> list[Job]:
        return self.executor.jobs

    def submit(self, config: dict[str, Any]) -> str:
        run = self.store.create_run(config, {})
        self.supervisor.submit(run.id)
        return run.id

    def steer(self, run: str, action: Any, to: int | None = None) -> None:
        self.store.steer(run, action, to)
        self.supervisor.signal(run)

    def status(self, run: str) -> str:
        return self.store.run(run).status

    def reaches(self, run: str, step: int) -> None:
        until(lambda: self.store.run(run).step >= step, lambda: self.describe(run))

    def stops_at(self, run: str, step: int) -> None:
        """Stop the run's worker (SIGSTOP) at its first report of so many steps, and wait for it.

        A short run may end while a test looks at how far it is. Call this before it can be there.
        """
        self.stop_at([run], step)

    def stop_at(self, runs: Sequence[str], step: int) -> None:
        """The same for several runs, none of which may be there yet."""
        self.server.stops |= dict.fromkeys(runs, step)
        for run in runs:
            until(lambda run=run: run not in self.server.stops, lambda run=run: self.describe(run))
            self.reaches(run, step)

    def kill(self, run: str, *signals: signal.Signals) -> None:
        """Send signals to the run's worker, by default SIGKILL."""
        pid = self.pid(run)
        for each in signals or (signal.SIGKILL,):
            os.kill(pid, each)

    def becomes(self, run: str, *statuses: str, seconds: float = 60) -> None:
        until(lambda: self.status(run) in statuses, lambda: self.describe(run), seconds)

    def describe(self, run: str) -> str:
        row = self.store.run(run)
        log = self.home / "runs" / run / "log"
        return f"{row} {log.read_text() if log.exists() else ''}"

    def pid(self, run: str) -> int:
        worker = worker_process(self.home / "runs" / run)
        assert worker is not None
        return worker.pid

    def curve(self, run: str, metric: str = "train/loss") -> tuple[list[int], bytes]:
        """The steps, and the values bit for bit."""
        (series,) = [s for s in self.store.series(run) if s.metric == metric]
        points = self.store.points(series.id)
        return points.steps.tolist(), points.values.tobytes()


def until(
    condition: Callable[[], bool], describe: Callable[[], str] = str, seconds: float = 60
) -> None:
    """Wait for a state; fail with what was there instead."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.005)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, lab: Lab) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lab = lab
        self.stops: dict[str, int] = {}
        """{run: the step at which its worker is stopped}."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a worker that was killed while it reported."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        report = decode(self.rfile.read(int(self.headers["Content-Length"])))
        lab, stops = self.server.lab, self.server.stops
        try:
            run = lab.store.by_token(self.headers["Authorization"].removeprefix("Bearer "))
            run, _ = lab.store.report(report)
        except MissingError:
            return self._answer(401, {})
        except ConflictError:
            return self._answer(409, {})
        if run.status == "running" and run.step >= stops.get(run.id, run.step + 1):
            lab.kill(run.id, signal.SIGSTOP)
            del stops[run.id]
        lab.supervisor.reported(run.id, report.attempt, report.status)
        orders = ("run_until", "cancel", "stop", "changes")
        return self._answer(200, {name: getattr(run, name) for name in orders})

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    """Serve a home, submit the runs in $SUBMIT, stop their workers, print their ids; be killed."""
    with Lab(Path(sys.argv[1]), slots=2) as lab:
        runs = [lab.submit(config) for config in json.loads(os.environ["SUBMIT"])]
        # All at once: a run could end while another one is waited for.
        lab.stop_at(runs, 100)
        print(*runs, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
