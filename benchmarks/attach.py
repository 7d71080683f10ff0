"""gradlab.attach in a loop of the user's own, beside trackio and TensorBoard, 20 scalars a step

All sides take turns in one process, in an order that is turned around each time, so that a busy
machine slows them all. Each number is of the differences or quotients within a round.
"""

import gc
import importlib
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import gradlab
from benchmarks.lab import serving
from benchmarks.table import Row

STEP = 0.004
"""Seconds of a step, about: the batch is chosen for it."""
TURNS, TURN, WARM_UP = 66, 12, 6
"""Turns of each side, steps of a turn, and turns that are not counted."""
TRIMMED = 0.1
"""The share of the turns that is left out at either end: those in which the machine was busy."""
SCALARS = 20
NAMES = [f"scalar{i}" for i in range(SCALARS - 1)]
LOSS = nn.CrossEntropyLoss()


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
        self._step = 0

    def turn(self, count: int = TURN) -> "Took":
        """The time of a step."""
        x, y = self._batch
        start = time.perf_counter(), time.thread_time()
        for _ in range(count):
            self.before(self._step, self._batch)
            self._optimizer.zero_grad()
            loss = LOSS(self.net(x), y)
            loss.backward()
            self._optimizer.step()
            self.after(self._step, {"loss": loss, **dict.fromkeys(NAMES, 0.5)})
            self._step += 1
        wall, cpu = time.perf_counter() - start[0], time.thread_time() - start[1]
        return Took(wall / count, cpu / count)


class Took(NamedTuple):
    """Seconds of a step."""

    wall: float
    cpu: float
    """Of the loop's thread: it does not grow where other processes have the cores."""


class Side(NamedTuple):
    what: str
    loop: Loop
    budget: float | None


def rows() -> list[Row]:
    torch.set_num_threads(1)
    gc.freeze()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder) / "home"
        stack.enter_context(serving(home))
        size = _size()
        bare = Loop(size)
        sides = [
            Side("attach, no probes", _attached(stack, size, home, ()), 1.0),
            Side("attach, default probes", _attached(stack, size, home, _estimators()), 10.0),
            *_peers(stack, size, Path(folder)),
        ]
        loops = [bare, *(side.loop for side in sides)]
        times = [_round(loops, backwards=bool(turn % 2)) for turn in range(TURNS)][WARM_UP:]
    clocks = {c: [[getattr(took, c) for took in taken] for taken in times] for c in Took._fields}
    return [
        *(
            _row(side, clock, [(t[0], t[at]) for t in taken])
            for at, side in enumerate(sides, 1)
            for clock, taken in clocks.items()
        ),
        *_beside_peers(sides, clocks),
    ]


def _round(loops: Sequence[Loop], *, backwards: bool) -> "list[Took]":
    """A turn of each loop; the times in the order of `loops`."""
    order = range(len(loops))
    took = {at: loops[at].turn() for at in (reversed(order) if backwards else order)}
    return [took[at] for at in order]


def _beside_peers(sides: Sequence[Side], clocks: dict[str, list[list[float]]]) -> Iterator[Row]:
    """A step with each form of attach over a step with each peer, and what both add to it."""
    places = [*enumerate(sides, 1)]
    attached = [place for place in places if place[1].budget is not None]
    peers = [place for place in places if place[1].budget is None]
    for (at, side), (other, peer) in itertools.product(attached, peers):
        what, middle = f"{side.what} ÷ {peer.what}", _middle(side)
        for clock, taken in clocks.items():
            ratio = middle([t[at] / t[other] for t in taken])
            yield Row(f"{what}, {clock} time of a step", ratio, 1 + (side.budget or 0) / 100)
        mine, theirs = (middle([t[i] - t[0] for t in clocks["cpu"]]) for i in (at, other))
        yield Row(f"{what}, cpu time that is added", mine / theirs, None)


def _middle(side: Side) -> Callable[[list[float]], float]:
    """The mean where there are probes, which are few and dear; else the trimmed mean."""
    return statistics.mean if "default" in side.what else _trimmed_mean


def _trimmed_mean(values: list[float]) -> float:
    cut = int(TRIMMED * len(values))
    return statistics.mean(sorted(values)[cut : len(values) - cut])


def _row(side: Side, clock: str, pairs: list[tuple[float, float]]) -> Row:
    middle = _middle(side)
    bare, added = middle([b for b, _ in pairs]), middle([o - b for b, o in pairs])
    note = f"{1e6 * added:.0f} µs beside {1e3 * bare:.2f} ms"
    return Row(f"{side.what}, {clock} time", 100 * added / bare, side.budget, "%", note=note)


def _size() -> int:
    """The batch size of a step of about `STEP` seconds."""
    size = 64
    while size < 4096:
        loop = Loop(size)
        loop.turn(5)
        if loop.turn(10).cpu >= STEP:
            break
        size = size * 5 // 4
    return size


def _estimators() -> list[Any]:
    return [gradlab.Backprop(), gradlab.ForwardGradient(), gradlab.SPSA()]


def _attached(stack: ExitStack, size: int, home: Path, estimators: Any) -> Loop:
    loop = Loop(size)
    run = stack.enter_context(gradlab.attach(loop.net, LOSS, estimators, home=home))
    loop.before = run.step
    loop.after = lambda step, scalars: run.log(scalars)
    return loop


def _peers(stack: ExitStack, size: int, folder: Path) -> Iterator[Side]:
    """The trackers that are installed; the others are not measured."""
    for name, tracker in (("TensorBoard", _tensorboard), ("trackio", _trackio)):
        try:
            log = stack.enter_context(tracker(folder))
        except ImportError:
            print(f"{name} is not installed: it is left out")
            continue
        loop = Loop(size)
        loop.after = log
        yield Side(name, loop, None)


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
