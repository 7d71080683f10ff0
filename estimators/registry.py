"""Discovery of estimators, those of this library and those of plug-ins.

An estimator is found in the packages of this library, in the entry-point group
`gradlab.estimators`, or in a `.py` file of a plug-in folder. What cannot be loaded is listed with
its traceback and does not affect the rest.
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
from estimators.time_limit import OutOfTimeError, TimeLimit

GROUP = "gradlab.estimators"
FAMILIES = ("perturbation", "feedback", "local", "guess", "implicit", "combine", "control")
Kind = Literal["builtin", "plugin", "entry_point"]


@dataclass(frozen=True)
class Entry:
    """An estimator and its origin."""

    cls: type[Estimator]
    kind: Kind
    file: str
    sha256: str
    """Hash of the file, so that a run records which version it used."""


@dataclass(frozen=True)
class Failure:
    """Something that could not be loaded."""

    source: str
    traceback: str
    timed_out: bool = False
    """Whether its import did not return in time."""


@dataclass(frozen=True)
class Discovery:
    """The estimators by catalogue name, and what could not be loaded."""

    estimators: dict[str, Entry]
    failures: list[Failure]

    def add(self, cls: type[Estimator], kind: Kind) -> None:
        """List `cls`, or the reason why it cannot be used."""
        name, file = snake_name(cls), Path(inspect.getfile(cls))
        if reason := _why_unusable(cls):
            self.failures.append(Failure(str(file), reason))
        elif name in self.estimators:
            other = self.estimators[name].file
            text = f"the name {name!r} is taken by {other}; rename {cls.__name__}"
            self.failures.append(Failure(str(file), text))
        else:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            self.estimators[name] = Entry(cls, kind, str(file), digest)


def discover(
    plugin_dirs: Iterable[Path | str] = (), import_seconds: float | None = None
) -> Discovery:
    """Find every estimator: the library's, then entry points, then the files of `plugin_dirs`.

    A file whose import takes longer than `import_seconds` is listed as a failure.
    """
    discovery = Discovery({}, [])
    for cls in _builtin():
        discovery.add(cls, "builtin")
    for point in metadata.entry_points(group=GROUP):
        _add_from_entry_point(discovery, point)
    for directory in plugin_dirs:
        for file in sorted(Path(directory).glob("*.py")):
            if not file.name.startswith("_"):
                _add_from_file(discovery, file, import_seconds)
    return discovery


def load_file(file: Path | str) -> list[type[Estimator]]:
    """Return the estimators that a `.py` file defines. Raises whatever the file raises."""
    file = Path(file).resolve()
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:12]
    name = f"gradlab_plugin_{digest}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look up annotations there
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
    for name in sorted(names, key=_family_order):
        if _family(name) in FAMILIES and "._" not in name:  # private modules hold helpers
            yield from _defined_in(importlib.import_module(name))


def _family_order(module: str) -> int:
    """The position of a module's family: methods, then wrappers and controls."""
    family = _family(module)
    return FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)


def _family(module: str) -> str:
    """The folder of this library that holds a module."""
    return module.removeprefix(f"{__package__}.").partition(".")[0]


def _defined_in(module: ModuleType) -> Iterator[type[Estimator]]:
    """The estimators of a module, without the abstract bases of others in it."""
    classes = [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, Estimator) and cls.__module__ == module.__name__
    ]
    for cls in classes:
        is_base = inspect.isabstract(cls) and any(cls in other.__mro__[1:] for other in classes)
        if not is_base and cls is not Estimator:
            yield cls


def _why_unusable(cls: type[Estimator]) -> str | None:
    if inspect.isabstract(cls):
        return f"{cls.__name__} lacks {', '.join(sorted(cls.__abstractmethods__))}"
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return f"{cls.__name__} is not a frozen dataclass: write @dataclass(frozen=True) above it"
    if required := [f.name for f in dataclasses.fields(cls) if not _has_default(f)]:
        return f"{cls.__name__} has fields without a default: {', '.join(required)}"
    return None


def _has_default(field: dataclasses.Field) -> bool:
    return any(x is not dataclasses.MISSING for x in (field.default, field.default_factory))


def _add_from_file(discovery: Discovery, file: Path, seconds: float | None) -> None:
    try:
        with TimeLimit(seconds).active(f"the import of {file.name}"):
            classes = load_file(file)
    except OutOfTimeError:
        discovery.failures.append(Failure(str(file), traceback.format_exc(), timed_out=True))
        return
    except (Exception, SystemExit):
        discovery.failures.append(Failure(str(file), traceback.format_exc()))
        return
    for cls in classes:
        discovery.add(cls, "plugin")


def _add_from_entry_point(discovery: Discovery, point: metadata.EntryPoint) -> None:
    """Add the class that an entry point names, or the classes of its module."""
    source = f"{point.name} = {point.value}"
    try:
        loaded = point.load()
        classes = list(_defined_in(loaded)) if inspect.ismodule(loaded) else [loaded]
        if not classes or not all(inspect.isclass(c) and issubclass(c, Estimator) for c in classes):
            raise TypeError(f"{source} names no subclass of Estimator")
    except (Exception, SystemExit):
        discovery.failures.append(Failure(source, traceback.format_exc()))
        return
    for cls in classes:
        discovery.add(cls, "entry_point")
