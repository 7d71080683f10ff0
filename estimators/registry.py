"""One door for our methods and a stranger's.

An estimator is found in the packages of this library, in the entry-point group
`gradlab.estimators`, or in a `.py` file of a plug-in folder. What cannot be loaded is listed
with its traceback and disturbs nothing else.
"""

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Literal

from estimators.core.contract import Estimator
from estimators.core.names import snake_name

GROUP = "gradlab.estimators"
FAMILIES = ("perturbation", "feedback", "local", "implicit", "combine", "control")
Kind = Literal["builtin", "plugin", "entry_point"]


@dataclass(frozen=True)
class Entry:
    """An estimator and where it comes from."""

    cls: type[Estimator]
    kind: Kind
    file: str
    sha256: str
    """Of the file, so that a run can tell which version it used."""


@dataclass(frozen=True)
class Failure:
    """Something that could not be loaded."""

    source: str
    traceback: str


@dataclass(frozen=True)
class Discovery:
    """What was found: `estimators` by catalogue name, and what failed."""

    estimators: dict[str, Entry]
    failures: list[Failure]

    def add(self, cls: type[Estimator], kind: Kind) -> None:
        """List `cls`, or say why it cannot be listed."""
        name, file = snake_name(cls), Path(inspect.getfile(cls))
        if reason := _unfit(cls):
            self.failures.append(Failure(str(file), reason))
        elif name in self.estimators:
            taken = self.estimators[name].file
            self.failures.append(
                Failure(str(file), f"the name {name!r} is taken by {taken}; rename {cls.__name__}")
            )
        else:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            self.estimators[name] = Entry(cls, kind, str(file), digest)


def discover(plugin_dirs: Iterable[Path | str] = ()) -> Discovery:
    """Find every estimator: ours first, then entry points, then the files of `plugin_dirs`."""
    found = Discovery({}, [])
    for cls in _builtin():
        found.add(cls, "builtin")
    for point in metadata.entry_points(group=GROUP):
        _add_from_entry_point(found, point)
    for directory in plugin_dirs:
        for file in sorted(Path(directory).glob("*.py")):
            if not file.name.startswith("_"):
                _add_from_file(found, file)
    return found


def load_file(file: Path | str) -> list[type[Estimator]]:
    """The estimators that a `.py` file defines. Raises whatever the file raises."""
    file = Path(file).resolve()
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:12]
    name = f"gradlab_plugin_{digest}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pydantic look up annotations
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    classes = list(_defined_in(module))
    if not classes:
        raise TypeError(f"{file.name} defines no subclass of Estimator")
    return classes


def _builtin() -> Iterator[type[Estimator]]:
    package = importlib.import_module(str(__package__))
    names = [info.name for info in pkgutil.walk_packages(package.__path__, f"{__package__}.")]
    for name in sorted(names, key=_place):
        if _family(name) in FAMILIES and "._" not in name:  # the rest holds bases and helpers
            yield from _defined_in(importlib.import_module(name))


def _place(module: str) -> int:
    """Where a module's family stands in lists: methods, then what is made of them."""
    family = _family(module)
    return FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)


def _family(module: str) -> str:
    """The folder of this library that holds a module."""
    return module.removeprefix(f"{__package__}.").partition(".")[0]


def _defined_in(module: ModuleType) -> Iterator[type[Estimator]]:
    """The estimators of a module, without the abstract ones that others there build upon."""
    classes = [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, Estimator) and cls.__module__ == module.__name__
    ]
    for cls in classes:
        is_base = inspect.isabstract(cls) and any(cls in other.__mro__[1:] for other in classes)
        if not is_base and cls is not Estimator:
            yield cls


def _unfit(cls: type[Estimator]) -> str | None:
    if inspect.isabstract(cls):
        return f"{cls.__name__} lacks {', '.join(sorted(cls.__abstractmethods__))}"
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return f"{cls.__name__} is not a frozen dataclass: write @dataclass(frozen=True) above it"
    if lacking := [f.name for f in dataclasses.fields(cls) if not _has_default(f)]:
        return f"{cls.__name__} has fields without a default: {', '.join(lacking)}"
    return None


def _has_default(field: dataclasses.Field) -> bool:
    return any(x is not dataclasses.MISSING for x in (field.default, field.default_factory))


def _add_from_file(found: Discovery, file: Path) -> None:
    try:
        classes = load_file(file)
    except (Exception, SystemExit):
        found.failures.append(Failure(str(file), traceback.format_exc()))
        return
    for cls in classes:
        found.add(cls, "plugin")


def _add_from_entry_point(found: Discovery, point: metadata.EntryPoint) -> None:
    """An entry point names a class, or a module that defines some."""
    source = f"{point.name} = {point.value}"
    try:
        loaded = point.load()
        classes = list(_defined_in(loaded)) if inspect.ismodule(loaded) else [loaded]
        if not classes or not all(inspect.isclass(c) and issubclass(c, Estimator) for c in classes):
            raise TypeError(f"{source} names no subclass of Estimator")
    except (Exception, SystemExit):
        found.failures.append(Failure(source, traceback.format_exc()))
        return
    for cls in classes:
        found.add(cls, "entry_point")
