"""`create_app`: the web application over a store and a supervisor; and the server around it."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from fastapi import FastAPI

from backend.api import errors
from backend.api.deps import Lab, Supervisor
from backend.api.guard import Authenticator, Guard
from backend.api.hub import Hub
from backend.api.routes import (
    attached,
    catalogue,
    dashboards,
    datasets,
    drafts,
    forks,
    gallery,
    pages,
    probes,
    race,
    runs,
    session,
    shared,
    studies,
    worker,
)
from backend.api.routes.results import diagnosis, exports, figures, scoreboard, series
from backend.home import Home, open_home
from backend.jobs.downloads import Downloads
from backend.jobs.study_keeper import StudyKeeper
from backend.race.preset import preset
from backend.race.started import StartedRace
from backend.settings import Settings
from backend.store import Store
from backend.store.base import MissingError
from backend.store.upkeep import Housekeeper

ROUTES = (
    attached,
    catalogue,
    dashboards,
    datasets,
    diagnosis,
    drafts,
    exports,
    figures,
    forks,
    gallery,
    probes,
    race,
    runs,
    scoreboard,
    series,
    session,
    shared,
    studies,
    worker,
    pages,
)


def create_app(
    settings: Settings, store: Store, supervisor: Supervisor, home: Home | None = None
) -> FastAPI:
    """The application. It starts the supervisor when it starts, and shuts it down at its end.

    `home` is opened as the settings say if it is not given.
    """
    if home is None:
        token = settings.token.get_secret_value() if settings.token else None
        home = open_home(settings.home, token)
    places = {"GRADLAB_HOME": str(settings.home), "GRADLAB_DATA": str(settings.data_dir)}
    keeper = StudyKeeper(store, supervisor)
    started = StartedRace(home.path, preset())
    lab = Lab(settings, home, store, supervisor, Hub(store), keeper, Downloads(places), started)
    app = FastAPI(
        title="Gradient Lab",
        openapi_url="/api/openapi.json",
        docs_url=None,  # these pages load scripts from a CDN
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.lab, app.state.authenticator = lab, Authenticator(home)
    errors.install(app)
    for module in ROUTES:
        app.include_router(module.routes)
    app.mount("/static", pages.Modules(directory=pages.FRONTEND), name="static")
    app.add_middleware(
        Guard,
        authenticator=app.state.authenticator,
        settings=settings,
        is_worker=partial(_is_worker, store),
    )
    return app


def _is_worker(store: Store, token: str) -> bool:
    try:
        store.by_token(token)
    except MissingError:
        return False
    return True


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    lab: Lab = app.state.lab
    lab.hub.open()
    await asyncio.to_thread(lab.supervisor.start)
    lab.studies.start()
    housekeeper = Housekeeper(lab.store)
    housekeeper.start()
    try:
        yield
    finally:
        lab.hub.close()
        await asyncio.to_thread(lab.studies.close)
        await asyncio.to_thread(lab.downloads.close)
        await asyncio.to_thread(lab.supervisor.shutdown)
        await asyncio.to_thread(housekeeper.close)


class LabServer(uvicorn.Server):
    """A server that still answers its workers while they write checkpoints and stop."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the workers, end the event streams, then shut down."""
        app = self.config.app
        assert isinstance(app, FastAPI)
        lab: Lab = app.state.lab
        await asyncio.to_thread(lab.supervisor.shutdown)
        # The server waits for open connections, and streams do not end by themselves.
        lab.hub.close()
        await super().shutdown(sockets)


class PortInUseError(Exception):
    """The server cannot listen on the address; the message says why and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free port. Raises PortInUseError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm (40 ms a response) only if the protocol is given.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise PortInUseError(_why(host, port, error)) from error
    return listening


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use by another program; give another one "
            "(--port, GRADLAB_PORT), or 0 for any free one"
        )
    return f"cannot listen on port {port} of {host}: {error.strerror}"
