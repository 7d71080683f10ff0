"""The lab's training loop and reporter against hand-written loops: 60 scalars a step, LocalMixer"""

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from unittest.mock import Mock, patch

import torch
from torch import nn

from backend.config import RunConfig
from backend.jobs.worker.reporter import Reporter
from backend.jobs.worker.reporting import forward
from backend.training import clock, loop, probes
from backend.training.batches import Batches
from backend.training.components.assemble import Assembly, assemble
from backend.training.datasets.digits import Digits
from backend.training.evaluation.evaluation import Evaluation
from backend.training.networks.mlp import MLP
from backend.training.records import Progress, Record
from benchmarks.table import Row
from estimators import Chain, cross_entropy, stream

TURNS = 16
ANSWER = {"run_until": None, "cancel": False, "stop": False, "changes": []}

# Exact backprop that also says 59 things a step: with the loss, 60 scalars.
TALKATIVE = '''
from dataclasses import dataclass
import torch
from estimators import Backprop, Claim, Cost, Estimator, Objective

NUMBERS = {f"n{i}": torch.tensor(float(i)) for i in range(59)}

@dataclass(frozen=True)
class Talkative(Estimator[Objective, None]):
    """Backprop with 59 scalars of info."""
    def claim(self, objective):
        return Claim.EXACT
    def cost(self, objective):
        return Cost(forwards=1, vjps=1)
    def estimate(self, objective, params, state, rng):
        return Backprop().estimate(objective, params, state, rng)._replace(info=NUMBERS)
'''


# As MNIST, for a machine that has not fetched it.
PIXELS = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from estimators import stream
from gradlab import Dataset, stratified

@dataclass(frozen=True)
class Pixels(Dataset):
    "Random images, 28x28."
    shape: ClassVar = (1, 28, 28)
    classes: ClassVar = 10
    description: ClassVar = "Random images."
    training_examples: ClassVar = 6000

    def load(self, seed):
        rng = stream(seed, "data")
        x = torch.rand(10_000, *self.shape, generator=rng)
        return stratified(x, torch.arange(10_000) % 10, seed)
"""
MIXED = {
    "backprop": {"name": "backprop"},
    "LG-FG-A": {"name": "local_losses", "inner": {"name": "activity_forward_gradient"}},
}


@dataclass(frozen=True)
class Case:
    what: str
    width: int
    batch: int
    turn: int
    """Steps that each side makes before it is the other's turn."""
    budget: float

    @property
    def steps(self) -> int:
        return self.turn * (TURNS + 1)  # the first one warms up


CASES = [
    Case("small steps", 48, 32, 1000, 10.0),
    Case("large steps", 512, 160, 100, 3.0),
]
PROBED = Case("default probes against none", 48, 32, 1000, 10.0)


class Took(NamedTuple):
    """Seconds a step of one turn."""

    wall: float
    cpu: float
    """Of all threads: it does not grow where other processes have the cores."""


class Side(Protocol):
    def until(self, step: int) -> int:
        """Go on until `step` updates were made, or a few more; how many were."""
        ...


def rows() -> list[Row]:
    torch.set_num_threads(1)
    gc.freeze()  # as a worker does
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "talkative.py").write_text(TALKATIVE)
        (Path(folder) / "pixels.py").write_text(PIXELS)
        found = [row for case in CASES for row in _bare_and_lab(case, Path(folder))]
        return [*found, *_with_probes(PROBED), *_mixers(Path(folder))]


def _mixers(folder: Path) -> Iterator[Row]:
    """LocalMixer S/1/1 by the lab, over a hand-written loop with the same estimator."""
    for name, description in MIXED.items():
        case = Case(f"LocalMixer S/1/1, {name}", 0, 100, 40, 1.05)
        with MixerLab(case, description, folder) as lab:
            peer, ours = in_turns(BareMixer(case, lab.assembly), lab, case)
        for kind in Took._fields:
            pairs = [(getattr(p, kind), getattr(o, kind)) for p, o in zip(peer, ours, strict=True)]
            bare = statistics.median(p for p, _ in pairs)
            ratio = statistics.median(o / p for p, o in pairs)
            note = f"{bare * 1e3:.2f} ms a step by hand"
            yield Row(f"{case.what}, {kind} time", ratio, case.budget, note=note)


def _bare_and_lab(case: Case, folder: Path) -> list[Row]:
    with Lab(case, "talkative", {"budget": 0}, folder) as lab:
        return _rows(case, *in_turns(Bare(case), lab, case), statistics.median)


def _with_probes(case: Case) -> list[Row]:
    with Lab(case, "backprop", {"budget": 0}) as peer, Lab(case, "backprop", {}) as lab:
        # Probes are few and dear: their median turn has none.
        return _rows(case, *in_turns(peer, lab, case), statistics.mean)


def _rows(
    case: Case, peer: list[Took], ours: list[Took], middle: Callable[[Iterable[float]], float]
) -> list[Row]:
    found = []
    for kind in Took._fields:
        before, after = ([getattr(took, kind) for took in side] for side in (peer, ours))
        bare = middle(before)
        added = middle(o - p for p, o in zip(before, after, strict=True))
        note = f"{added * 1e6:.0f} µs beside {bare * 1e3:.2f} ms"
        found.append(
            Row(f"{case.what}, {kind} time", 100 * added / bare, case.budget, "%", note=note)
        )
    return found


def in_turns(peer: Side, ours: Side, case: Case) -> tuple[list[Took], list[Took]]:
    """What the turns of both took, but for their first."""
    sides, took, made = (ours, peer), ([], []), [0, 0]
    for end in range(case.turn, case.steps + 1, case.turn):
        for i, side in enumerate(sides):
            wall, cpu, before = time.perf_counter(), time.process_time(), made[i]
            made[i] = side.until(end)
            steps = made[i] - before
            took[i].append(
                Took((time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps)
            )
    return took[1][1:], took[0][1:]


class Bare:
    """What one would write by hand; it evaluates as often as the lab."""

    def __init__(self, case: Case) -> None:
        split = Digits().load(0)
        self._batches = Batches(split.train, case.batch, 0)
        self._module = MLP(width=case.width, depth=2).build((1, 8, 8), 10, stream(0, "init"))
        self._optimizer = torch.optim.SGD(self._module.parameters(), lr=0.01, momentum=0.9)
        self._evaluation = Evaluation(self._module, split, case.steps, case.batch)
        self._step = 0

    def until(self, step: int) -> int:
        module, optimizer, batches = self._module, self._optimizer, self._batches
        for now in range(self._step, step):
            if self._evaluation.due(now):
                list(self._evaluation.along(now))
            x, y = batches.at(now)
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()
        self._step = step
        return step


class BareMixer:
    """What one would write by hand around an estimator of the library."""

    def __init__(self, case: Case, assembly: Assembly) -> None:
        split = assembly.dataset.load(0)
        self._batches = Batches(split.train, case.batch, 0)
        self._module = assembly.module(0)
        self._params = {n: p.detach() for n, p in self._module.named_parameters()}
        self._chain = Chain(self._module, *self._batches.at(0), cross_entropy)
        self._estimator = assembly.driver.estimator
        self._state = self._estimator.init(self._chain, self._params, stream(0, "estimator"))
        self._optimizer = torch.optim.SGD(self._module.parameters(), lr=0.01, momentum=0.9)
        self._evaluation = Evaluation(self._module, split, case.steps, case.batch)
        self._losses: list[torch.Tensor] = []
        self._step = 0

    def until(self, step: int) -> int:
        for now in range(self._step, step):
            if self._evaluation.due(now):
                list(self._evaluation.along(now))
            chain = self._chain.on(*self._batches.at(now))
            rng = stream(0, "estimator", now)
            estimate = self._estimator.estimate(chain, self._params, self._state, rng)
            self._state = estimate.state
            self._losses.append(estimate.loss)
            for name, parameter in self._module.named_parameters():
                parameter.grad = estimate.grads[name]
            self._optimizer.step()
        self._step = step
        return step


@dataclass
class Watch:
    """A clock that stands still while the other side has its turn."""

    away: float = 0.0
    since: float = field(default_factory=time.perf_counter)

    def __call__(self) -> float:
        return time.perf_counter() - self.away


class Lab:
    """A run, its records relayed to a reporter whose server answers at once."""

    def __init__(
        self, case: Case, driver: str, probe: dict, *plugins: Path, **changes: Any
    ) -> None:
        self._watch, self._step = Watch(), 0
        self._stack = ExitStack()
        place = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._reporter = Reporter(
            run="r", attempt=1, connection=Mock(**{"send.return_value": ANSWER}),
            outbox=place / "outbox",
            on_orders=lambda orders: None, on_gone=lambda: None,
        )  # fmt: skip
        config = RunConfig.model_validate(
            {
                "dataset": {"name": "digits"},
                "network": {"name": "mlp", "width": case.width, "depth": 2},
                "estimator": {"name": driver},
                "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9},
                "steps": case.steps,
                "batch_size": case.batch,
                "probe": probe,
                **changes,
            }
        )
        self.config, self.plugins = config, plugins
        self._records = loop.train(config, checkpoint_dir=place, plugin_dirs=plugins)

    def __enter__(self) -> "Lab":
        self._reporter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reporter.close()
        self._stack.close()

    def until(self, step: int) -> int:
        """Go on to the first flush at or after `step`."""
        self._watch.away += time.perf_counter() - self._watch.since
        with ExitStack() as patched:
            for module in (clock, loop, probes):
                patched.enter_context(patch.object(module, "perf_counter", self._watch))
            forward(self._up_to(step), self._reporter, "cpu")
        self._watch.since = time.perf_counter()
        return self._step

    def _up_to(self, step: int) -> Iterator[Record]:
        for record in self._records:
            yield record
            if isinstance(record, Progress) and record.step >= step:
                self._step = record.step
                return


class MixerLab(Lab):
    """A run of LocalMixer S/1/1."""

    def __init__(self, case: Case, estimator: dict, folder: Path) -> None:
        network = {"name": "local_mixer", "size": "S/1/1"}
        super().__init__(
            case, "", {"budget": 0}, folder,
            dataset={"name": "pixels"}, network=network, estimator=estimator,
        )  # fmt: skip
        self.assembly = assemble(self.config, self.plugins)
