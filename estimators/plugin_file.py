"""The components in a plug-in file: import it, and find its classes of every kind."""

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType, TracebackType
from typing import Any, NamedTuple, Protocol


class _Kind(Protocol):
    """What is asked of a kind here (`estimators.registry.Kind`)."""

    @property
    def base(self) -> type: ...

    @property
    def wrap(self) -> Callable[[type], type | None]: ...


class ComponentsOfFile(NamedTuple):
    """The components of a file by kind, and why other classes of it cannot be used."""

    classes: dict[str, list[type]]
    refusals: list[str]


class _Loader(SourceFileLoader):
    """Compiles the source at every import: a cached compilation of a file that was changed within
    a second of the last import would be taken for the new one."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def load_module(file: Path | str) -> ModuleType:
    """Import a `.py` file anew. Raises whatever the file raises."""
    file = Path(file).resolve()
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:12]
    name = f"gradlab_plugin_{digest}_{file.stem}"
    if file.suffix != ".py":
        raise ImportError(f"{file} is not a Python file")
    loader = _Loader(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look up annotations there
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def text_of_error(error: BaseException, file: Path | str) -> str:
    """The traceback from the first line in `file` on; the whole one if it occurs nowhere in it."""
    frames = frames_in(error, file)
    # A syntax error has no frame; its message names the line.
    shown = frames or (None if isinstance(error, SyntaxError) else error.__traceback__)
    return "".join(traceback.format_exception(type(error), error, shown))


def frames_in(error: BaseException, file: Path | str) -> TracebackType | None:
    """The traceback of an error from the first line in `file` on; None if there is none in it."""
    frames, path = error.__traceback__, Path(file).resolve()
    while frames and Path(frames.tb_frame.f_code.co_filename).resolve() != path:
        frames = frames.tb_next
    return frames


def classes_of(module: ModuleType, kinds: Mapping[str, _Kind]) -> ComponentsOfFile:
    """The components of every kind that a module defines, {kind: classes}.

    A kind of which the module defines no class may wrap a class of another library: a public one
    that no other class or function of the module uses or derives from.
    """
    classes = {name: list(defined_in(module, kind.base)) for name, kind in kinds.items()}
    bases = tuple(kind.base for kind in kinds.values())
    without = [name for name, members in classes.items() if not members]
    refusals: list[str] = []
    for cls in _unused_classes(module, bases):
        for name in without:
            try:
                wrapped = kinds[name].wrap(cls)
            except TypeError as error:
                refusals.append(str(error))
                continue
            classes[name] += [] if wrapped is None else [wrapped]
    return ComponentsOfFile({k: members for k, members in classes.items() if members}, refusals)


def defined_in(module: ModuleType, base: type) -> Iterator[type]:
    """The subclasses of `base` of a module, without the abstract bases of others in it."""
    classes = [cls for cls in _classes(module) if issubclass(cls, base)]
    for cls in classes:
        is_base = inspect.isabstract(cls) and any(cls in other.__mro__[1:] for other in classes)
        if not is_base and cls is not base:
            yield cls


def _classes(module: ModuleType) -> list[type]:
    values = [v for v in vars(module).values() if inspect.isclass(v)]
    return [cls for cls in values if cls.__module__ == module.__name__]


def _unused_classes(module: ModuleType, bases: tuple[type, ...]) -> Iterator[type]:
    """The public classes of a module that are no components and no parts of its other code."""
    classes = _classes(module)
    for cls in classes:
        others = [value for value in vars(module).values() if value is not cls]
        used = {name for value in others for name in _names_used_by(value, module)}
        derived_from = any(cls in other.__mro__[1:] for other in classes)
        is_part = cls.__name__ in used or derived_from
        if not (is_part or cls.__name__.startswith("_") or issubclass(cls, bases)):
            yield cls


def _names_used_by(value: Any, module: ModuleType) -> Iterator[str]:
    """The names that the code of a function of the module, or of a class's methods, refers to."""
    if inspect.isclass(value) and value.__module__ == module.__name__:
        for member in vars(value).values():
            function = member.fget if isinstance(member, property) else member
            yield from _names_used_by(getattr(function, "__func__", function), module)
    elif isinstance(value, FunctionType) and value.__module__ == module.__name__:
        yield from _names_in(value.__code__)


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
