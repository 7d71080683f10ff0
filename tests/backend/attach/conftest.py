"""A network in training, and labs that it reports to: closed, open, closed again."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from backend.app import LabServer, create_app, listen
from backend.attach import delivery, session
from backend.home import Lock, open_home
from backend.jobs.attached_runs import AttachedRuns
from backend.serve import server_config
from backend.settings import Settings
from backend.store import Store, open_engine


class Idle:
    """A supervisor that starts nothing."""

    def start(self) -> None: ...

    def shutdown(self) -> None: ...

    def submit(self, run_id: str) -> None: ...

    def signal(self, run_id: str) -> None: ...

    def reported(self, run_id: str, attempt: int, status: str) -> None: ...


class Lab:
    """A lab over a home, without workers."""

    def __init__(self, home: Path) -> None:
        self.home = open_home(home)
        self.engine = open_engine(f"sqlite:///{home / 'lab.db'}")
        self.store = Store(self.engine)
        self.attached = AttachedRuns(self.store, home)
        self.url = ""

    def points(self, run: str, metric: str, layer: str = "", estimator: str = "") -> list[tuple]:
        """(step, value) of one series."""
        key = (metric, layer, estimator)
        (series,) = [
            s for s in self.store.series(run) if (s.metric, s.layer, s.estimator) == key
        ]  # fmt: skip
        points = self.store.points(series.id)
        return [*zip(points.steps.tolist(), points.values.tolist(), strict=True)]

    @contextmanager
    def open(self) -> Iterator["Lab"]:
        """Serve it, as `gradlab serve` does."""
        settings = Settings(home=self.home.path, token=self.home.token)
        server = LabServer(server_config(create_app(settings, self.store, Idle(), self.home)))
        with Lock(self.home.path) as lock, listen("127.0.0.1", 0) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            until(lambda: server.started)
            lock.publish(self.url)
            yield self
            server.should_exit = True
            thread.join(20)


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for a state."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(name="until")
def _until() -> Any:
    return until


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab that nobody serves yet."""
    made = Lab(tmp_path / "home")
    yield made
    made.engine.dispose()


@pytest.fixture
def open_lab(lab: Lab) -> Iterator[Lab]:
    with lab.open():
        yield lab


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRADLAB_URL", "GRADLAB_TOKEN", "GRADLAB_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(session, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(session, "PAUSED_SECONDS", 0.02)
    monkeypatch.setattr(delivery, "PATIENCE", 20.0)


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(16, 6, generator=rng, dtype=torch.float64)
    return x, torch.randint(3, (16,), generator=rng)
