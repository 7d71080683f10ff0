"""Discovery of components, those of a library and those of plug-ins.

A component is found in the packages of the library, by an entry point, or in a `.py` file of a
plug-in folder. One file may define several components of several kinds. What cannot be loaded is
listed with its traceback and does not affect the rest. This library's kind is the estimator; a
caller passes the kinds that it has.
"""

import dataclasses
import hashlib
import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from estimators.core.contract import Estimator
from estimators.core.names import snake_name
from estimators.plugin_file import classes_of, defined_in, load_module, text_of_error
from estimators.time_limit import OutOfTimeError, TimeLimit

FAMILIES = (
    "perturbation", "feedback", "local", "guess", "implicit", "combine", "control", "adapters",
)  # fmt: skip
Origin = Literal["builtin", "plugin", "entry_point"]


def _builtin() -> Iterator[type[Estimator]]:
    for family in FAMILIES:
        package = importlib.import_module(f"{__package__}.{family}")
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "._" not in info.name:  # private modules hold helpers
                yield from defined_in(importlib.import_module(info.name), Estimator)


@dataclass(frozen=True)
class Kind:
    """A kind of component: how its classes are recognised, named and found."""

    base: type
    """The base class of its components."""
    builtin: Callable[[], Iterable[type]]
    """The components of the library itself."""
    group: str
    """The group of its entry points."""
    name_of: Callable[[type], str] = snake_name
    """The catalogue name of a class."""
    wrap: Callable[[type], type | None] = lambda cls: None
    """A component made of a class of another library; None for classes that it does not concern.
    Raises TypeError for one that it concerns and that cannot be served."""


Kinds = Mapping[str, Kind]

ESTIMATORS: Kinds = {"estimator": Kind(Estimator, _builtin, "gradlab.estimators")}
"""The kind of component that this library has."""


@dataclass(frozen=True)
class Entry:
    """A component and its origin."""

    cls: type
    kind: Origin
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
    """The components of each kind by catalogue name, and what could not be loaded."""

    kinds: Kinds
    failures: list[Failure] = field(default_factory=list)
    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    """{kind: {catalogue name: entry}}."""

    @property
    def estimators(self) -> dict[str, Entry]:
        """The estimators by catalogue name."""
        return self.entries.get("estimator", {})

    def add(self, kind: str, cls: type, origin: Origin) -> None:
        """List `cls`, or the reason why it cannot be used."""
        name, file = self.kinds[kind].name_of(cls), Path(inspect.getfile(cls))
        entries = self.entries.setdefault(kind, {})
        if reason := _why_unusable(cls):
            self.failures.append(Failure(str(file), reason))
        elif name in entries:
            other = entries[name].file
            text = f"the name {name!r} is taken by {other}; rename {cls.__name__}"
            self.failures.append(Failure(str(file), text))
        else:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            entries[name] = Entry(cls, origin, str(file), digest)


def discover(
    plugin_dirs: Iterable[Path | str] = (),
    import_seconds: float | None = None,
    kinds: Kinds = ESTIMATORS,
) -> Discovery:
    """Find every component: the library's, then entry points, then the files of `plugin_dirs`.

    A file whose import takes longer than `import_seconds` is listed as a failure.
    """
    discovery = Discovery(kinds)
    for kind, described in kinds.items():
        for cls in described.builtin():
            discovery.add(kind, cls, "builtin")
    installed = metadata.entry_points()  # reads the metadata of every package: once for all kinds
    for kind, described in kinds.items():
        for point in installed.select(group=described.group):
            _add_from_entry_point(discovery, kind, point)
    for directory in plugin_dirs:
        for file in sorted(Path(directory).glob("*.py")):
            if not file.name.startswith("_"):
                _add_from_file(discovery, file, import_seconds)
    return discovery


def load_file(file: Path | str, kinds: Kinds = ESTIMATORS) -> dict[str, list[type]]:
    """The components that a `.py` file defines, {kind: classes}; kinds without any are left out.

    Raises whatever the file raises, and TypeError if it defines no component.
    """
    file = Path(file).resolve()
    classes, refusals = classes_of(load_module(file), kinds)
    if not classes:
        raise TypeError("; ".join(refusals) or defines_none(file, kinds))
    return classes


def defines_none(file: Path, kinds: Kinds) -> str:
    """The error message of a file without a component."""
    bases = [kind.base.__name__ for kind in kinds.values()]
    return f"{file.name} defines no subclass of {_alternatives(bases)}"


def _alternatives(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _why_unusable(cls: type) -> str | None:
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
            classes, refusals = classes_of(load_module(file), discovery.kinds)
    except OutOfTimeError as error:
        text = text_of_error(error, file)
        discovery.failures.append(Failure(str(file), text, timed_out=True))
        return
    except (Exception, SystemExit) as error:
        discovery.failures.append(Failure(str(file), text_of_error(error, file)))
        return
    if not classes and not refusals:
        refusals = [defines_none(file, discovery.kinds)]
    discovery.failures.extend(Failure(str(file), reason) for reason in refusals)
    for kind, members in classes.items():
        for cls in members:
            discovery.add(kind, cls, "plugin")


def _add_from_entry_point(discovery: Discovery, kind: str, point: metadata.EntryPoint) -> None:
    """Add the class that an entry point names, or the classes of its module."""
    source = f"{point.name} = {point.value}"
    try:
        classes = _loaded(point, discovery.kinds[kind], source)
    except (Exception, SystemExit):
        discovery.failures.append(Failure(source, traceback.format_exc()))
        return
    for cls in classes:
        discovery.add(kind, cls, "entry_point")


def _loaded(point: metadata.EntryPoint, kind: Kind, source: str) -> list[type]:
    loaded = point.load()
    if inspect.ismodule(loaded):
        members, refusals = classes_of(loaded, {"": kind})
        classes = members.get("", [])
    else:
        wrapped = kind.wrap(loaded) if inspect.isclass(loaded) else None
        classes, refusals = [wrapped or loaded], []
    if not classes or not all(inspect.isclass(c) and issubclass(c, kind.base) for c in classes):
        reasons = "; ".join(refusals)
        raise TypeError(reasons or f"{source} names no subclass of {kind.base.__name__}")
    return classes
