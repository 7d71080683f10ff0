"""From a run's configuration to the objects that the loop works with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from backend.config import COMPONENTS, RunConfig
from backend.training.batches import Batches
from backend.training.components.index import ComponentIndex, known
from backend.training.components.resolve import Loc, Problem, resolve
from backend.training.datasets import Dataset, Part
from backend.training.losses import Loss
from backend.training.networks import Network
from backend.training.optimizers import Optimizer
from estimators.core.contract import Estimator
from estimators.core.names import labels
from estimators.core.noise import stream
from estimators.core.objective import Chain

Described = dict[Loc, tuple[str, Any]]
"""Where a component stands: its kind, and what describes it."""


class Labelled(NamedTuple):
    """An estimator under the name that its series carry."""

    label: str
    estimator: Estimator


@dataclass(frozen=True)
class Assembly:
    """A run's components."""

    dataset: Dataset
    network: Network
    optimizer: Optimizer
    driver: Labelled
    shadows: tuple[Labelled, ...]
    plugins: dict[str, str]
    """SHA-256 of each plug-in file in use."""
    known: ComponentIndex
    """What the components were chosen from."""
    loss: Loss

    def module(self, seed: int) -> nn.Module:
        """The network with its first weights."""
        outputs = self.loss.outputs(self.dataset)
        module = self.network.build(self.dataset.shape, outputs, stream(seed, "init"))
        self.loss.begin(module, stream(seed, "init", "loss"))
        return module

    def chain(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Chain:
        """The loss on a batch that `batches` gave."""
        return self.loss.chain(module, batch, self.dataset)

    def batches(self, part: Part, size: int, seed: int) -> Batches:
        """The batches that the training sees."""
        return Batches(part, size, seed, self.loss.prepare)

    def estimator(self, description: Any) -> Estimator:
        """Make another estimator. Raises ValueError with each problem in a sentence."""
        made, problems = resolve("estimator", description, self.known)
        _raise(problems)
        return made


class Parts(NamedTuple):
    """Components by where they stand in the configuration; None where one has problems."""

    made: dict[Loc, Any]
    problems: list[Problem]


def components(config: Mapping[str, Any]) -> Described:
    """The components of a configuration, driver and shadows included."""
    found: Described = {(kind,): (kind, config[kind]) for kind in COMPONENTS if kind in config}
    for i, shadow in enumerate(config.get("shadows", [])):
        found["shadows", i] = ("estimator", shadow)
    return found


def make_parts(described: Described, known: ComponentIndex) -> Parts:
    """Every component that can be made, and every problem of the others."""
    made: dict[Loc, Any] = {}
    problems: list[Problem] = []
    for loc, (kind, component) in described.items():
        made[loc], found = resolve(kind, component, known, loc)
        problems += found
    return Parts(made, problems)


def assemble(config: RunConfig, plugin_dirs: Sequence[Path | str] = ()) -> Assembly:
    """Make every component. Raises ValueError with each problem in a sentence."""
    catalogue = known(plugin_dirs)
    made, problems = make_parts(components(config.model_dump()), catalogue)
    _raise(problems)
    estimators = [made[("estimator",)], *(made["shadows", i] for i in range(len(config.shadows)))]
    driver, *shadows = map(Labelled, labels(estimators), estimators)
    return Assembly(
        made[("dataset",)],
        made[("network",)],
        made[("optimizer",)],
        driver,
        tuple(shadows),
        catalogue.files(estimators),
        catalogue,
        made[("loss",)],
    )


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        raise ValueError("; ".join(f"{'.'.join(map(str, p.loc))}: {p.msg}" for p in problems))
