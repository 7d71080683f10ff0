"""Assemble the lab and serve it: until a signal ends it, or for the duration of one command."""

import os
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI
from rich.console import Console

from backend.api.connections import BACKLOG, LimitedProtocol, connection_limit
from backend.app import LabServer, PortInUseError, create_app, listen
from backend.home import (
    Home,
    HomeError,
    Lock,
    keep_token,
    open_home,
    refuse_network_file_system,
    serving,
)
from backend.home_copies import original_of, settle, why_interrupted, with_identity
from backend.jobs.local_executor import LocalExecutor
from backend.jobs.report_decoding import store_unsent_reports
from backend.jobs.run_folders import run_folder
from backend.jobs.supervisor import Supervisor
from backend.repeated_logs import limit_repeats
from backend.settings import Settings, SettingsError, settings
from backend.store import Store, open_engine
from backend.store.engine import DatabaseError, close_engine
from backend.terminal.client import Client

SHUTDOWN_SECONDS = 4
"""For open connections to end when the server stops, after its workers have stopped."""
LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}


class ServeError(Exception):
    """The lab cannot be served; the message is one sentence for the terminal."""


@dataclass(frozen=True)
class ServedLab:
    """A lab that listens: its server, home and URL."""

    server: LabServer
    app: FastAPI
    socket: Any
    home: Home
    url: str
    notes: tuple[str, ...] = ()
    """What whoever started it must know."""

    @property
    def start_url(self) -> str:
        """The URL with the token in its fragment, which browsers do not send."""
        return f"{self.url}/#token={self.home.token}"


def serve(given: Mapping[str, Any], *, open_page: bool) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises ServeError."""
    with _until_signalled(), _lab(_settings(given)) as lab:
        console = Console()
        console.print(
            f"Gradient Lab is at [bold]{lab.start_url}[/]\n"
            f"home {lab.home.path} · Ctrl-C stops it; runs in progress go on at the next start",
            highlight=False,
            soft_wrap=True,
        )
        if open_page and _has_display():
            threading.Thread(target=_open_when_up, args=(lab,), daemon=True).start()
        for note in lab.notes:
            console.print(note, highlight=False, markup=False, soft_wrap=True)
        lab.server.run(sockets=[lab.socket])


class _SignalledError(BaseException):
    """A signal asked the process to end."""


@contextmanager
def _until_signalled() -> Iterator[None]:
    """End the block in order when a signal asks for it.

    The server raises the signal that has stopped it once more, which by default would end the
    process before the database is closed and the lock released.
    """

    def end(_number: int, _frame: Any) -> None:
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, signal.SIG_IGN)
        raise _SignalledError

    former = {kind: signal.signal(kind, end) for kind in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except _SignalledError:
        pass
    finally:
        for kind, handler in former.items():
            signal.signal(kind, handler)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """While this is open, SIGTERM raises SystemExit, so that what the block has started is ended.

    Without it, the process would be gone at once, and its workers would go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@contextmanager
def running_lab(given: Mapping[str, Any]) -> Iterator[Client]:
    """A client of the server of this home, or of one that is started for the duration.

    Raises ServeError if none can be started.
    """
    chosen = _settings(given)
    running = serving(chosen.home)
    if running is not None:
        # The server may have another token than this shell; it is in the home.
        yield Client(running.url, _home(chosen.model_copy(update={"token": None})).token)
        return
    with _ended_in_order(), _lab(chosen.model_copy(update={"port": 0})) as lab:
        thread = threading.Thread(target=lab.server.run, kwargs={"sockets": [lab.socket]})
        thread.start()
        try:
            _wait_until_up(lab, thread)
            yield Client(lab.url, lab.home.token)
        finally:
            lab.server.should_exit = True
            thread.join()


@contextmanager
def _lab(chosen: Settings) -> Iterator[ServedLab]:
    with ExitStack() as stack:
        try:
            yield _assemble(chosen, stack)
        except (HomeError, DatabaseError, PortInUseError) as error:
            raise ServeError(str(error)) from error


def _assemble(chosen: Settings, stack: ExitStack) -> ServedLab:
    home = _home(chosen)
    lock = stack.enter_context(Lock(home.path))
    original = original_of(home)
    if original is not None:
        home = with_identity(home, chosen.token.get_secret_value() if chosen.token else None)
    keep_token(home)
    if chosen.database.startswith("sqlite"):
        refuse_network_file_system(home.path)
    engine = open_engine(chosen.database)
    stack.callback(close_engine, engine)
    listening = stack.enter_context(listen(chosen.host, chosen.port))
    url = f"http://{_reachable(chosen.host)}:{listening.getsockname()[1]}"
    lock.publish(url)
    store = Store(engine)
    notes = () if original is None else (_interrupt(store, home, original),)
    settle(home)
    # Options of the command line, which the workers do not see.
    executor = LocalExecutor(home.path, {"GRADLAB_DATA": str(chosen.data_dir)})
    supervisor = Supervisor(store, executor, home.path, chosen.plugin_dirs, slots=chosen.slots)
    app = create_app(chosen, store, supervisor, home)
    return ServedLab(LabServer(server_config(app)), app, listening, home, url, notes)


def _interrupt(store: Store, home: Home, original: str) -> str:
    """End the runs that were active when the home was copied; says so in a sentence."""
    for run in store.active():
        store_unsent_reports(store, run_folder(home.path, run.id), run.attempt)
    count = store.interrupt_active(why_interrupted(original))
    return (
        f"This home is a copy of {original}: it has an instance id and a token of its own, and "
        f"{count} runs that were active there are marked as interrupted here"
    )


def server_config(app: FastAPI) -> uvicorn.Config:
    """How the lab is served: with limits on connections, and a log that no client can flood."""
    LimitedProtocol.max_connections = connection_limit()
    config = uvicorn.Config(
        app,
        log_level="warning",
        http=LimitedProtocol,
        backlog=BACKLOG,
        proxy_headers=False,  # not trusted: rate limits are by connection
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    limit_repeats()
    return config


def _settings(given: Mapping[str, Any]) -> Settings:
    try:
        return settings(**given)
    except SettingsError as error:
        raise ServeError(str(error)) from error


def _home(chosen: Settings) -> Home:
    try:
        token = chosen.token.get_secret_value() if chosen.token else None
        return open_home(chosen.home, token)
    except HomeError as error:
        raise ServeError(str(error)) from error


def _reachable(host: str) -> str:
    """The address with which this machine reaches a server that listens on `host`."""
    address = LOOPBACK_OF.get(host, host)
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def _open_when_up(lab: ServedLab) -> None:
    while not lab.server.started and not lab.server.should_exit:
        time.sleep(0.05)
    webbrowser.open(lab.start_url)


def _wait_until_up(lab: ServedLab, thread: threading.Thread) -> None:
    while not lab.server.started:
        if not thread.is_alive():
            raise ServeError(f"the server at {lab.url} did not start; see its messages above")
        time.sleep(0.01)
