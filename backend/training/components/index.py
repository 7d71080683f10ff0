"""`KINDS` and `component_index`: the kinds of component, and all that a configuration can name."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from backend.config import IMPORT_SECONDS
from backend.training.components.discovery import catalogue_name
from backend.training.datasets import Dataset, datasets
from backend.training.losses import Loss, losses
from backend.training.networks import Network, networks
from backend.training.optimizers import Optimizer, Schedule, optimizers, schedules
from backend.training.wrapping import wrap_module, wrap_optimizer
from estimators.core.contract import Estimator
from estimators.registry import ESTIMATORS, Discovery, Entry, Kind, discover

C = TypeVar("C")


def _kind(base: type, builtin: Callable[[], Mapping[str, type]], group: str, **more: Any) -> Kind:
    return Kind(base, lambda: builtin().values(), f"gradlab.{group}", catalogue_name, **more)


KINDS: Mapping[str, Kind] = MappingProxyType({
    "dataset": _kind(Dataset, datasets, "datasets"),
    "loss": _kind(Loss, losses, "losses"),
    "network": _kind(Network, networks, "networks", wrap=wrap_module),
    **ESTIMATORS,
    "optimizer": _kind(Optimizer, optimizers, "optimizers", wrap=wrap_optimizer),
    "schedule": _kind(Schedule, schedules, "schedules"),
})  # fmt: skip
"""The kinds by name; `load_file(file, KINDS)` reads the components of a plug-in file."""
_LAZY_MODULES = (
    "torch._dynamo",  # the first optimiser's step
    "torch._decomp.decompositions_for_jvp",  # the first forward-mode derivative
)


@dataclass(frozen=True)
class ComponentIndex:
    """The classes of each kind by catalogue name, and where they were found."""

    classes: dict[str, dict[str, type]]
    discovery: Discovery

    def plugin_files(self, components: Iterable[Any]) -> dict[str, str]:
        """{name: SHA-256 of its file} of each plug-in among the components and those in their
        fields. The name of one that is no estimator begins with its kind: `network my_net`."""
        if not self._plugins:
            return {}
        used = {type(c) for component in components for c in with_nested(component)}
        return {name: entry.sha256 for name, entry in self._plugins.items() if entry.cls in used}

    @cached_property
    def _plugins(self) -> dict[str, Entry]:
        return {
            name if kind == "estimator" else f"{kind} {name}": entry
            for kind, entries in self.discovery.entries.items()
            for name, entry in entries.items()
            if entry.kind != "builtin"
        }


def with_nested(component: C) -> Iterator[C]:
    """The component, and the components in its fields."""
    yield component
    for item in fields(component):  # type: ignore[arg-type]
        value = getattr(component, item.name)
        if is_dataclass(value) and not isinstance(value, type):
            yield from with_nested(value)  # type: ignore[misc]


def with_wrapped(estimator: Estimator) -> Iterator[Estimator]:
    """The estimator, and the estimators in its fields."""
    return (e for e in with_nested(estimator) if isinstance(e, Estimator))


def component_index(
    plugin_dirs: Sequence[Path | str] = (),
    import_seconds: float = IMPORT_SECONDS,
    more: Mapping[str, Kind] = MappingProxyType({}),
) -> ComponentIndex:
    """The built-in components, and those of installed packages and plug-in folders.

    A plug-in file whose import takes longer than `import_seconds` is listed as a failure. `more`:
    further kinds, which no configuration names.
    """
    discovery = discover([Path(d) for d in plugin_dirs], import_seconds, {**KINDS, **more})
    classes = {
        kind: {name: entry.cls for name, entry in discovery.entries.get(kind, {}).items()}
        for kind in KINDS
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
    for kind in KINDS.values():
        tuple(kind.builtin())
