"""`assemble`: build the objects that a run's configuration describes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from backend.config import COMPONENTS, RunConfig
from backend.training.batches import Batches
from backend.training.components.index import ComponentIndex, component_index
from backend.training.components.resolve import Loc, Problem, resolve
from backend.training.datasets import Dataset, Part
from backend.training.losses import Loss
from backend.training.losses.contract import Batch, Prepare
from backend.training.networks import Network
from backend.training.optimizers import Optimizer
from backend.training.random_passes import chain_on, notices
from estimators.core.contract import Estimator
from estimators.core.names import labels
from estimators.core.noise import stream
from estimators.measurement.inputs.examination import Examined, examined

Described = dict[Loc, tuple[str, Any]]
"""{place in the configuration: (kind of component, its description)}."""


class Labelled(NamedTuple):
    """An estimator with the label that its series carry."""

    label: str
    estimator: Estimator


@dataclass(frozen=True)
class Assembly:
    """The components of a run."""

    dataset: Dataset
    network: Network
    optimizer: Optimizer
    driver: Labelled
    shadows: tuple[Labelled, ...]
    index: ComponentIndex
    """Every component there is."""
    loss: Loss

    @property
    def task(self) -> dict[str, Any]:
        """The components by kind, without the estimators."""
        kinds = ("dataset", "network", "loss", "optimizer")
        return {kind: getattr(self, kind) for kind in kinds}

    @property
    def plugins(self) -> dict[str, str]:
        """SHA-256 of the file of each plug-in in use; see `ComponentIndex.plugin_files`."""
        estimators = (e.estimator for e in (self.driver, *self.shadows))
        return self.index.plugin_files([*self.task.values(), *estimators])

    def module(self, seed: int) -> nn.Module:
        """The network at its initialisation."""
        outputs = self.loss.outputs(self.dataset)
        module = self.network.build(self.dataset.shape, outputs, stream(seed, "init"))
        self.loss.begin(module, stream(seed, "init", "loss"))
        return module

    def inferred(self) -> tuple[str, ...]:
        """What was worked out of a network that does not say it itself, in sentences."""
        return self.network.inferred(self.dataset.shape, self.loss.outputs(self.dataset))

    def examined(
        self, module: nn.Module, batch: tuple[Tensor, Tensor], seed: int, step: int
    ) -> Examined:
        """The loss on the batch of `step`, examined before the run's estimators work on it.

        Raises ValueError, naming what is wrong, for a random network or loss, and for one on which
        an estimator cannot be trusted.
        """
        params = {name: p.detach() for name, p in module.named_parameters()}
        members = {e.label: e.estimator for e in (self.driver, *self.shadows)}
        chain = chain_on(self.loss, module, batch, self.dataset, seed, step)
        result = examined(chain, params, members, stops=self.loss.stops)
        return result._replace(notices=(*notices(chain), *result.notices))

    def batches(self, part: Part, size: int, seed: int) -> Batches:
        """The batches to train on."""
        return Batches(part, size, seed, self._prepare)

    @property
    def _prepare(self) -> Prepare | None:
        """What the data set changes at random in a batch, then what the loss does."""
        augment, prepare = self.dataset.augment, self.loss.prepare
        if augment is None:
            return prepare

        def both(x: Tensor, y: Tensor, rng: Generator) -> Batch:
            x = augment(x, rng)
            return (x, y) if prepare is None else prepare(x, y, rng)

        return both

    def estimator(self, description: Any) -> Estimator:
        """Build another estimator. Raises ValueError with each problem in a sentence."""
        made, problems = resolve("estimator", description, self.index)
        _raise(problems)
        return made


class Parts(NamedTuple):
    """Components by their place in the configuration; None for one with problems."""

    made: dict[Loc, Any]
    problems: list[Problem]


def components(config: Mapping[str, Any]) -> Described:
    """The descriptions of a configuration's components, driver and shadows included."""
    described: Described = {(kind,): (kind, config[kind]) for kind in COMPONENTS if kind in config}
    for i, shadow in enumerate(config.get("shadows", [])):
        described["shadows", i] = ("estimator", shadow)
    return described


def make_parts(described: Described, index: ComponentIndex) -> Parts:
    """Build every component that can be built; collect the problems of the others."""
    made: dict[Loc, Any] = {}
    problems: list[Problem] = []
    for loc, (kind, component) in described.items():
        made[loc], of_component = resolve(kind, component, index, loc)
        problems += of_component
    return Parts(made, problems)


def assemble(config: RunConfig, plugin_dirs: Sequence[Path | str] = ()) -> Assembly:
    """Build every component. Raises ValueError with each problem in a sentence."""
    index = component_index(plugin_dirs)
    made, problems = make_parts(components(config.model_dump()), index)
    _raise(problems)
    estimators = [made[("estimator",)], *(made["shadows", i] for i in range(len(config.shadows)))]
    driver, *shadows = map(Labelled, labels(estimators), estimators)
    return Assembly(
        made[("dataset",)],
        made[("network",)],
        made[("optimizer",)],
        driver,
        tuple(shadows),
        index,
        made[("loss",)],
    )


def find_device(name: str) -> torch.device:
    """The device called `name` (auto, cpu or cuda:N). Raises ValueError if there is none."""
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    if name != "cpu" and int(name.removeprefix("cuda:")) >= count:
        available = ", ".join(["auto", "cpu", *(f"cuda:{i}" for i in range(count))])
        raise ValueError(f"device {name} is not on this machine; there are: {available}")
    return torch.device(name)


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        raise ValueError("; ".join(f"{'.'.join(map(str, p.loc))}: {p.msg}" for p in problems))
