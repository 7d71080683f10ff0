"""A lab over a real store, its supervisor played by `Fake`."""

import base64
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from backend.app import LabServer, create_app, listen
from backend.config import Kind, MicroscopeConfig, RunConfig
from backend.home import open_home
from backend.sentences import sentence
from backend.serve import server_config
from backend.settings import Settings
from backend.store import Store, open_engine

with warnings.catch_warnings():
    # It would rather have a successor of httpx, which nothing here needs.
    warnings.simplefilter("ignore", UserWarning)
    from fastapi.testclient import TestClient

TOKEN = "a-token-of-this-test"
CONFIG = {
    "name": "first",
    "dataset": {"name": "digits"},
    "network": {"name": "mlp", "width": 8},
    "estimator": {"name": "backprop"},
    "steps": 100,
}


class Fake:
    """Validates by a list of names, starts nothing, remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.figures: list[dict[str, Any]] = []
        self.drawn: dict[str, Any] = {}

    def start(self) -> None:
        self.told.append(("start",))

    def shutdown(self) -> None:
        self.told.append(("shutdown",))

    def validate(
        self, configs: Sequence[dict[str, Any]], kind: Kind = "training"
    ) -> list[dict[str, Any]]:
        return [self._validate(config, kind) for config in configs]

    def fit(self, configs: Sequence[Any], field: str, limit: int) -> list[dict[str, Any]]:
        """A run needs a GiB for every 16 examples of its batch."""
        values = [min(config[field], 16 * limit // 2**30) for config in configs]
        return [
            {"value": value, "need": value * 2**26, "problem": ""}
            if value
            else {"value": None, "need": None, "problem": "the run needs about 0.1 GiB"}
            for value in values
        ]

    def draft(self, configs: Sequence[Any], chosen: str) -> dict[str, Any]:
        """As the catalogue does, without a network; a surface brings the network point."""
        answers = self.validate(configs)
        surface = chosen == "dataset" and configs[0]["dataset"] == {"name": "surface"}
        problems = [{**e, "remedies": []} for answer in answers for e in answer["errors"]]
        config = answers[0].get("config") if not problems else None
        return {
            "changes": {"network": {"name": "point"}} if surface else {},
            "said": ["Network is now Point."] if surface else [],
            "problems": problems,
            "config": config,
            "labels": answers[0].get("labels"),
            "weights": 12,
            "layers": 2,
            "steps": config and config["steps"],
        }

    def unsuited(self, config: Any) -> dict[str, dict[str, str]]:
        """Nothing suits nowhere."""
        nowhere = config.get("dataset") == {"name": "nowhere"}
        return {"networks": {"mlp": "there are no data"}} if nowhere else {}

    def _validate(self, config: dict[str, Any], kind: Kind) -> dict[str, Any]:
        of = MicroscopeConfig if kind == "microscope" else RunConfig
        try:
            config = of.model_validate(config).model_dump(mode="json")
        except ValidationError as error:
            return {"errors": [{"loc": [*e["loc"]], "msg": sentence(e)} for e in error.errors()]}
        name = config["estimator"]["name"]
        if name == "slow":
            raise TimeoutError("the inspector did not answer in 20 s")
        errors = []
        if name not in ("backprop", "implicit_adjoint"):
            errors = [{"loc": ["estimator", "name"], "msg": f"there is no estimator {name!r}"}]
        labels = {"driver": name, "shadows": []}
        return {"config": config, "labels": labels, "plugins": {}, "errors": errors}

    def catalogue(self, refresh: bool = False) -> dict[str, Any]:
        return {"version": "2" if refresh else "1", "estimators": []}

    def diagnose(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        self.told.append(("diagnose", question))
        told = {"cause": "fine", "text": "sound", "draws": 1}
        return [{"layer": layer, **told} for layer in question["layers"]]

    def own_figures(self, *, wait: bool = False) -> list[dict[str, Any]]:
        return self.figures

    def draw(self, name: str, run_id: str) -> dict[str, Any]:
        self.told.append(("draw", name, run_id))
        return self.drawn

    def submit(self, run_id: str) -> None:
        self.told.append(("submit", run_id))

    def signal(self, run_id: str) -> None:
        self.told.append(("signal", run_id))

    def reported(self, run_id: str, attempt: int, status: str) -> None:
        self.told.append(("reported", run_id, attempt, status))


@pytest.fixture
def settings(request, tmp_path) -> Settings:
    """Of a lab with a public URL, if the test names one."""
    public = getattr(request, "param", None)
    return Settings(home=tmp_path / "home", token=TOKEN, public_url=public)


@contextmanager
def opened_app(settings: Settings) -> Iterator[Any]:
    """The server of a home, as an application."""
    home = open_home(settings.home, TOKEN)
    engine = open_engine(settings.database)
    yield create_app(settings, Store(engine), Fake(), home)
    engine.dispose()


@contextmanager
def opened_client(app: Any, **headers: str) -> Iterator[TestClient]:
    """A client of a server, which runs as long as the client is open."""
    with TestClient(app, base_url="http://localhost:8642", headers=headers) as client:
        yield client


@pytest.fixture
def app(settings) -> Iterator[Any]:
    with opened_app(settings) as app:
        yield app


@pytest.fixture
def stranger(app) -> Iterator[TestClient]:
    """A client that has no token."""
    with opened_client(app) as client:
        yield client


@pytest.fixture
def client(stranger) -> TestClient:
    """A script with the token."""
    stranger.headers["authorization"] = f"Bearer {TOKEN}"
    return stranger


@pytest.fixture(scope="module")
def lasting_client(tmp_path_factory) -> Iterator[TestClient]:
    """A script with the token, for tests of one module that leave what they find."""
    settings = Settings(home=tmp_path_factory.mktemp("lasting") / "home", token=TOKEN)
    with (
        opened_app(settings) as app,
        opened_client(app, authorization=f"Bearer {TOKEN}") as client,
    ):
        yield client


@pytest.fixture
def store(app) -> Store:
    return app.state.lab.store


@pytest.fixture
def fake(app) -> Fake:
    return app.state.lab.supervisor


def packed(metric: str, steps: Any, values: Any, **names: str) -> dict[str, str]:
    return {
        "metric": metric,
        **names,
        "steps": base64.b64encode(np.asarray(steps, "<i8").tobytes()).decode(),
        "values": base64.b64encode(np.asarray(values, "<f8").tobytes()).decode(),
    }


def report(run: str, sequence: int, series: Any = (), attempt: int = 1, **more: Any) -> dict:
    body = {"run": run, "attempt": attempt, "sequence": sequence, "status": "running"}
    return {**body, "series": list(series), **more}


class Worker:
    """What a worker of a run sends."""

    def __init__(self, client: TestClient, store: Store, run: str, at: int = 0) -> None:
        started, self.token = store.begin_attempt(run, at)
        self.client, self.run, self.attempt, self.sequence = client, run, started.attempt, -1

    def send(self, *series: Any, sequence: int | None = None, **more: Any) -> Any:
        self.sequence = self.sequence + 1 if sequence is None else sequence
        body = {"attempt": self.attempt, **more}
        return self.client.post(
            "/api/worker/report",
            json=report(self.run, self.sequence, series, **body),
            headers={"authorization": f"Bearer {self.token}"},
        )


@pytest.fixture
def run(client) -> str:
    """The id of a queued run."""
    return client.post("/api/runs", json=CONFIG).json()["id"]


@pytest.fixture
def worker(client, store, run) -> Worker:
    return Worker(client, store, run)


@pytest.fixture(name="packed")
def _packed() -> Any:
    return packed


@pytest.fixture
def config() -> dict[str, Any]:
    return {**CONFIG}


@pytest.fixture
def attempt(client, store, run) -> Any:
    """Starts another attempt of the run: attempt(at=step)."""
    return lambda at=0: Worker(client, store, run, at)


@pytest.fixture
def served(app):
    """(server, thread, URL)."""
    listening = listen("127.0.0.1", 0)
    server = LabServer(server_config(app))
    started = threading.Event()
    startup = server.startup

    async def announce(sockets=None):
        await startup(sockets)
        started.set()

    server.startup = announce
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    assert started.wait(10)
    yield server, thread, f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listening.close()
    assert not thread.is_alive()
