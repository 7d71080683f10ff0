"""gradlab.attach in a loop of the user's own, beside trackio and TensorBoard, 20 scalars a step

Each side is a process, and they take turns, in an order that is turned around each time, so that a
busy machine slows them all. Each number is of the differences or quotients within a round. With
probes, everything counts from the first step on, with the first probe and what it loads.
"""

import gc
import importlib
import itertools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import gradlab
from backend.attach import loop_probes, session
from backend.jobs.worker import reporter
from backend.training import clock, probes
from benchmarks.lab import serving
from benchmarks.table import Row
from benchmarks.turns import Took, Turns, ended, taken

CLOCKS = [clock, loop_probes, probes, reporter, session]
TRIMMED = 0.1
"""The share of the turns that is left out at either end: those in which the machine was busy."""
SCALARS = 20
NAMES = [f"scalar{i}" for i in range(SCALARS - 1)]
LOSS = nn.CrossEntropyLoss()
DRAWS = 16
"""Of each estimator in a probe, as `attach` has it."""


class Case(NamedTuple):
    """A loop, and how it is measured."""

    what: str
    step: float
    """Seconds of a step, about: the batch is chosen for it."""
    turns: int
    turn: int
    """Steps of a turn."""

    @property
    def steps(self) -> int:
        return self.turns * self.turn


SHORT = Case("short steps", 0.004, 60, 24)
LONG = Case("long steps", 0.02, 60, 24)
WARM_UP = 6
"""Turns that are not counted where there are no probes."""


class Loop:
    """An ordinary loop; `before` and `after` each update are what a tracker adds."""

    def __init__(self, size: int) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
        )
        self._optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01)
        self._batch = torch.randn(size, 256), torch.randint(10, (size,))
        self.before: Callable[[int, tuple], None] = lambda step, batch: None
        self.after: Callable[[int, dict[str, Any]], None] = lambda step, scalars: None
        self.own: Callable[[], float] = lambda: 0.0
        """CPU time that the tracker has taken so far, if it is known."""
        self._step = 0

    def turn(self, count: int) -> Took:
        """The time of a step."""
        x, y = self._batch
        wall, cpu, own = time.perf_counter(), time.process_time(), self.own()
        for _ in range(count):
            self.before(self._step, self._batch)
            self._optimizer.zero_grad()
            loss = LOSS(self.net(x), y)
            loss.backward()
            self._optimizer.step()
            self.after(self._step, {"loss": loss, **dict.fromkeys(NAMES, 0.5)})
            self._step += 1
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return Took(wall / count, cpu / count, (self.own() - own) / count)


class Side(NamedTuple):
    what: str
    make: Callable[[ExitStack], Loop]
    budget: float | None = None


def rows() -> list[Row]:
    torch.set_num_threads(1)
    gc.freeze()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with serving(home):
            return [*_short_steps(home, Path(folder)), *_long_steps(home)]


def _short_steps(home: Path, folder: Path) -> list[Row]:
    size = _size(SHORT.step)
    sides = [
        Side("attach, no probes", partial(_attached, size, home, ()), 1.0),
        Side("attach, default probes", partial(_attached, size, home, _estimators()), 10.0),
        Side("TensorBoard", partial(_tracked, size, partial(_tensorboard, folder))),
        Side("trackio", partial(_tracked, size, partial(_trackio, folder))),
    ]
    sides, times = _measured(SHORT, size, sides)
    return [*_rows(SHORT, sides, times), *_beside_peers(sides, times)]


def _long_steps(home: Path) -> list[Row]:
    size = _size(LONG.step)
    side = Side("attach, default probes", partial(_attached, size, home, _estimators()), 10.0)
    return [*_rows(LONG, *_measured(LONG, size, [side]))]


def _measured(case: Case, size: int, sides: list[Side]) -> tuple[list[Side], list[list[Took]]]:
    """The sides whose packages are installed, and what a bare loop and they took in each round."""
    turns = [Turns(partial(_bare, size), CLOCKS), *(Turns(side.make, CLOCKS) for side in sides)]
    with ended(turns):
        for side, process in zip(sides, turns[1:], strict=True):
            if process.refusal:
                print(f"{side.what} is left out: {process.refusal}")
        present = [side for side, t in zip(sides, turns[1:], strict=True) if not t.refusal]
        return present, taken([t for t in turns if not t.refusal], case.turns, case.turn)


def _beside_peers(sides: list[Side], times: list[list[Took]]) -> Iterator[Row]:
    """A step with each form of attach over a step with each peer, and what both add to it."""
    places = [*enumerate(sides, 1)]
    attached = [place for place in places if place[1].budget is not None]
    peers = [place for place in places if place[1].budget is None]
    for (at, side), (other, peer) in itertools.product(attached, peers):
        what, middle = f"{side.what} ÷ {peer.what}", _middle(side)
        for kind in ("wall", "cpu"):
            of = [[getattr(took, kind) for took in turn] for turn in _counted(side, times)]
            ratio = middle([t[at] / t[other] for t in of])
            yield Row(f"{what}, {kind} time of a step", ratio, 1 + (side.budget or 0) / 100)
        mine, theirs = (
            middle([t[i].cpu - t[0].cpu for t in _counted(side, times)]) for i in (at, other)
        )
        yield Row(f"{what}, cpu time that is added", mine / theirs, None)


def _counted(side: Side, times: list[list[Took]]) -> list[list[Took]]:
    return times if _has_probes(side) else times[WARM_UP:]


def _has_probes(side: Side) -> bool:
    return "default" in side.what


def _middle(side: Side) -> Callable[[list[float]], float]:
    """The mean where there are probes, which are few and dear; else the trimmed mean."""
    return statistics.mean if _has_probes(side) else _trimmed_mean


def _trimmed_mean(values: list[float]) -> float:
    cut = int(TRIMMED * len(values))
    return statistics.mean(sorted(values)[cut : len(values) - cut])


def _rows(case: Case, sides: list[Side], times: list[list[Took]]) -> Iterator[Row]:
    for at, side in enumerate(sides, 1):
        counted, middle = _counted(side, times), _middle(side)
        what = f"{side.what}, {case.what}"
        for kind in ("wall", "cpu"):
            pairs = [(getattr(t[0], kind), getattr(t[at], kind)) for t in counted]
            bare, added = middle([b for b, _ in pairs]), middle([o - b for b, o in pairs])
            note = f"{1e6 * added:.0f} µs beside {1e3 * bare:.2f} ms"
            if _has_probes(side):
                note += f", {case.steps:,} steps"
            yield Row(f"{what}, {kind} time", 100 * added / bare, side.budget, "%", note=note)
        if side.budget is not None:
            own = statistics.mean(t[at].own or 0.0 for t in counted)
            bare = middle([t[0].cpu for t in counted])
            note = f"{1e6 * own:.0f} µs in its calls and its thread"
            yield Row(f"{what}, its own cpu time", 100 * own / bare, side.budget, "%", note=note)
            if _has_probes(side):
                first = (times[0][at].own or 0.0) * case.turn
                note = f"{first:.2f} s, of {len(_estimators())} estimators with {DRAWS} draws each"
                yield Row(f"{what}, the first probe", first / bare, None, "steps", note=note)


def _size(seconds: float) -> int:
    """The batch size of a step of about `seconds`."""
    size = 64
    while size < 16384:
        loop = Loop(size)
        loop.turn(5)
        if loop.turn(10).cpu >= seconds:
            break
        size = size * 5 // 4
    return size


def _bare(size: int, stack: ExitStack) -> Loop:
    return Loop(size)


def _estimators() -> list[Any]:
    return [gradlab.Backprop(), gradlab.ForwardGradient(), gradlab.SPSA()]


def _attached(size: int, home: Path, estimators: Any, stack: ExitStack) -> Loop:
    loop = Loop(size)
    run = stack.enter_context(gradlab.attach(loop.net, LOSS, estimators, home=home))
    [thread] = (t for t in threading.enumerate() if t.name == "reporter")
    threads_clock = time.pthread_getcpuclockid(thread.ident or 0)
    calls = 0.0

    def before(step: int, batch: tuple) -> None:
        nonlocal calls
        start = time.thread_time()
        run.step(step, batch)
        calls += time.thread_time() - start

    def after(step: int, scalars: dict[str, Any]) -> None:
        nonlocal calls
        start = time.thread_time()
        run.log(scalars)
        calls += time.thread_time() - start

    loop.before, loop.after = before, after
    loop.own = lambda: calls + time.clock_gettime(threads_clock)
    return loop


def _tracked(size: int, tracker: Callable[[], Any], stack: ExitStack) -> Loop:
    """A loop that another tracker logs. Raises ImportError if that is not installed."""
    loop = Loop(size)
    loop.after = stack.enter_context(tracker())
    return loop


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Callable[[int, dict[str, Any]], None]]:
    writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(folder / "board")

    def log(step: int, scalars: dict[str, Any]) -> None:
        for name, value in scalars.items():
            writer.add_scalar(name, value, step)

    yield log
    writer.close()


@contextmanager
def _trackio(folder: Path) -> Iterator[Callable[[int, dict[str, Any]], None]]:
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    trackio = importlib.import_module("trackio")
    trackio.init(project="benchmark", embed=False)

    def log(step: int, scalars: dict[str, Any]) -> None:
        trackio.log({**scalars, "loss": scalars["loss"].item()}, step=step)

    yield log
    trackio.finish()
