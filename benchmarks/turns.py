"""Sides of a benchmark that take turns, each in a process of its own.

A side's threads have its own interpreter lock and its own CPU time. Its clock is the CPU time of
the thread that runs it, so that it reports and measures as often as on a machine that nobody else
uses, while it runs alone: elsewhere, a step takes longer, and has more reports.
"""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from types import ModuleType, SimpleNamespace
from typing import NamedTuple, Protocol
from unittest.mock import patch


class Took(NamedTuple):
    """Seconds of a step in one turn."""

    wall: float
    cpu: float
    """Of all threads of the side: it does not grow where other processes have the cores."""
    own: float | None = None
    """Of that, what the side knows that it has added, in CPU time."""


class TakesTurns(Protocol):
    def turn(self, count: int) -> Took:
        """Make `count` steps."""
        ...


class Turns:
    """A side in a process of its own."""

    def __init__(self, make: Callable[[ExitStack], TakesTurns], clocks: list[ModuleType]) -> None:
        """`make` is called in the process; `clocks` are the modules there that import
        `perf_counter`, or `time` for its monotonic clock."""
        context = multiprocessing.get_context("fork")  # `make` need not be picklable
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, make, clocks))
        self._process.start()
        theirs.close()
        self.refusal: str | None = self._pipe.recv()

    def turn(self, count: int) -> Took:
        self._pipe.send(count)
        return self._pipe.recv()

    def end(self) -> None:
        if not self.refusal:
            self._pipe.send(None)
        self._process.join()


@contextmanager
def ended(sides: list[Turns]) -> Iterator[None]:
    """End all sides behind the block."""
    try:
        yield
    finally:
        for side in sides:
            side.end()


def taken(sides: list[Turns], rounds: int, count: int) -> list[list[Took]]:
    """What each side took in each round; the order is turned around each time."""
    order = [*range(len(sides))]
    times = []
    for turn in range(rounds):
        took = {at: sides[at].turn(count) for at in (reversed(order) if turn % 2 else order)}
        times.append([took[at] for at in order])
    return times


def _work(
    pipe: Connection, make: Callable[[ExitStack], TakesTurns], clocks: list[ModuleType]
) -> None:
    own = time.pthread_getcpuclockid(threading.get_ident())  # other threads ask for it too
    clock = partial(time.clock_gettime, own)
    with ExitStack() as stack:
        for module in clocks:
            name = "perf_counter" if hasattr(module, "perf_counter") else "time"
            new = clock if name == "perf_counter" else SimpleNamespace(monotonic=clock)
            stack.enter_context(patch.object(module, name, new))
        try:
            side = make(stack)
        except ImportError as error:
            pipe.send(str(error))
            return
        pipe.send(None)
        while (count := pipe.recv()) is not None:
            pipe.send(side.turn(count))
