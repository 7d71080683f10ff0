"""`component_index`: every component that a configuration can name, by kind and name."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path

from backend.config import IMPORT_SECONDS
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
"""The kinds of component and their base classes."""
_LAZY_MODULES = (
    "torch._dynamo",  # the first optimiser's step
    "torch._decomp.decompositions_for_jvp",  # the first forward-mode derivative
)


@dataclass(frozen=True)
class ComponentIndex:
    """The classes of each kind by catalogue name, and where the estimators were found."""

    classes: dict[str, dict[str, type]]
    discovery: Discovery

    def plugin_files(self, estimators: Iterable[Estimator]) -> dict[str, str]:
        """{name: SHA-256 of its file} of each plug-in among the estimators and those they wrap."""
        used = {type(e) for estimator in estimators for e in with_wrapped(estimator)}
        entries = self.discovery.estimators.items()
        return {name: e.sha256 for name, e in entries if e.cls in used and e.kind == "plugin"}


def with_wrapped(estimator: Estimator) -> Iterator[Estimator]:
    """The estimator, and the estimators in its fields."""
    yield estimator
    for item in fields(estimator):  # type: ignore[arg-type]
        value = getattr(estimator, item.name)
        if isinstance(value, Estimator):
            yield from with_wrapped(value)


def component_index(
    plugin_dirs: Sequence[Path | str] = (), import_seconds: float = IMPORT_SECONDS
) -> ComponentIndex:
    """The built-in components, and the estimators of installed packages and plug-in folders.

    A plug-in file whose import takes longer than `import_seconds` is listed as a failure.
    """
    discovery = discover([Path(d) for d in plugin_dirs], import_seconds)
    classes = {
        "dataset": datasets(),
        "loss": losses(),
        "network": networks(),
        "estimator": {name: entry.cls for name, entry in discovery.estimators.items()},
        "optimizer": optimizers(),
        "schedule": schedules(),
    }
    return ComponentIndex(classes, discovery)


def preload_imports() -> None:
    """Import early what torch and the lab import lazily, and every component.

    Together these imports take more than a second. A fork server that has done them gives each run
    its first point that much sooner.
    """
    with warnings.catch_warnings():
        # torch warns about its own use of torch.jit.script
        warnings.simplefilter("ignore", DeprecationWarning)
        for name in _LAZY_MODULES:
            import_module(name)
    for find in (datasets, losses, networks, optimizers, schedules):
        find()
