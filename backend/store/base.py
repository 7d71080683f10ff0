"""What the parts of the store share: transactions, one writer at a time, notices of commits."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sqlalchemy import Engine, false
from sqlmodel import Session, select

from backend.store.tables import Run

TURN = 0.02
"""Seconds after which long work commits and lets others write."""
PAUSE = 0.005
"""Seconds that it then waits: a thread that takes a lock again at once keeps others from it."""

Item = TypeVar("Item")


class MissingError(LookupError):
    """There is nothing with that id; the message says what was looked for."""


class ConflictError(Exception):
    """The present state forbids the request; the message says why."""


class FullError(ConflictError):
    """Too many runs are active; there may be room later."""


@dataclass(frozen=True)
class Commit:
    """A notice of what was committed."""

    kind: Literal["run", "points", "truncate", "deleted"]
    run: str
    series: list[dict[str, Any]] = field(default_factory=list)
    """For points: {id, metric, layer, estimator, steps, values}, the last two numpy arrays."""
    step: int | None = None
    """For truncate: points from this step on were deleted."""


Listener = Callable[[Commit], None]


class Base:
    """A database, and the listeners to its commits. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(writing=True)
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self.closing = threading.Event()
        """Set when the server ends: background work stops."""

    def listen(self, listener: Listener) -> None:
        """Call `listener` after each commit, in the thread that committed."""
        self._listeners.append(listener)

    def announce(self, commit: Commit) -> None:
        """Tell the listeners of something that they know, but that reads otherwise by now."""
        self._notify(commit)

    def _notify(self, commit: Commit) -> None:
        for listener in self._listeners:
            listener(commit)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that reads one state of the database."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that holds the write lock, and commits at the end or rolls back."""
        with self._lock, Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def in_turns(self, items: Iterable[Item], work: Callable[[Session, Item], object]) -> None:
        """Do `work` for each item, in transactions so short that others write in between."""
        waiting = iter(items)
        item = next(waiting, None)
        while item is not None:
            with self.writing() as session:
                end = time.monotonic() + TURN
                while item is not None:
                    work(session, item)
                    item = next(waiting, None)
                    if time.monotonic() >= end:
                        break
            time.sleep(PAUSE)


def find_run(session: Session, run_id: str) -> Run:
    """The run with that id. Raises MissingError."""
    run = session.exec(select(Run).where(Run.id == run_id, Run.deleted == false())).first()
    if run is None:
        raise MissingError(f"there is no run {run_id[:40]!r}")
    return run
