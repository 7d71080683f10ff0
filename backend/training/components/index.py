"""Everything that a configuration can name."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from backend.training.datasets import Dataset, datasets
from backend.training.losses import Loss, losses
from backend.training.networks import Network, networks
from backend.training.optimizers import Optimizer, Schedule, optimizers, schedules
from estimators.core.contract import Estimator
from estimators.registry import Discovery, discover

BASES: dict[str, type] = {
    "dataset": Dataset,
    "loss": Loss,
    "network": Network,
    "estimator": Estimator,
    "optimizer": Optimizer,
    "schedule": Schedule,
}
"""The kinds of component, and what each derives from."""


@dataclass(frozen=True)
class ComponentIndex:
    """The classes of each kind by catalogue name, and how the estimators were found."""

    classes: dict[str, dict[str, type]]
    discovery: Discovery

    def files(self, estimators: Iterable[Estimator]) -> dict[str, str]:
        """By name, the SHA-256 of the file of each plug-in among these and those they hold."""
        used = {type(e) for estimator in estimators for e in with_held(estimator)}
        found = self.discovery.estimators.items()
        return {name: e.sha256 for name, e in found if e.cls in used and e.kind == "plugin"}


def with_held(estimator: Estimator) -> Iterator[Estimator]:
    """The estimator, and those in its fields."""
    yield estimator
    for item in fields(estimator):  # type: ignore[arg-type]
        value = getattr(estimator, item.name)
        if isinstance(value, Estimator):
            yield from with_held(value)


def known(plugin_dirs: Sequence[Path | str] = ()) -> ComponentIndex:
    """Our components, and the estimators of installed packages and of the plug-in folders."""
    discovery = discover([Path(d) for d in plugin_dirs])
    classes = {
        "dataset": datasets(),
        "loss": losses(),
        "network": networks(),
        "estimator": {name: entry.cls for name, entry in discovery.estimators.items()},
        "optimizer": optimizers(),
        "schedule": schedules(),
    }
    return ComponentIndex(classes, discovery)
