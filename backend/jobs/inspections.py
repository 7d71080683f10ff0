"""Questions that need torch or a plug-in, asked of an inspector: the catalogue, a validation, a
diagnosis."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from backend.config import Kind
from backend.jobs.attempt import Limits
from backend.jobs.devices import Device, Slot, refusal
from backend.jobs.executor import Executor, InspectionError


class Questions:
    """Asks inspectors, keeps the catalogue, and keeps plug-ins out that hang or crash.

    A plug-in that raises at import is listed by the catalogue itself. One that never returns,
    or ends its process, takes the catalogue with it: then each file is tried alone, and those
    that fail are left out, of the runs too, until the next refresh.
    """

    def __init__(
        self,
        executor: Executor,
        home: Path,
        plugins: Sequence[Path],
        devices: Sequence[Device],
        slots: Sequence[Slot],
        limits: Limits,
    ) -> None:
        self._executor, self._limits = executor, limits
        self._devices, self._slots = devices, slots
        self._given, self._view = list(plugins), home / "vetted-plugins"
        self._lock = threading.Lock()
        self._catalogue: dict[str, Any] | None = None
        self.plugins = tuple(map(str, plugins))
        """The folders of plug-ins that can be loaded."""

    def validate(self, config: Any, kind: Kind = "training") -> Any:
        """The inspector's verdict on a configuration, as `backend.catalogue.validate` gives it.

        Raises InspectionError if there is none.
        """
        payload = {"config": config, "kind": kind, "plugins": self.plugins}
        verdict = self._executor.inspect("validate", payload, self._limits.inspection)
        problem = refusal(str(_device(config)), self._slots)
        if problem and all(error["loc"] != ["device"] for error in verdict["errors"]):
            verdict["errors"].append({"loc": ["device"], "msg": problem})
        return verdict

    def catalogue(self, refresh: bool = False) -> dict[str, Any]:
        """Everything that a configuration can name. Raises InspectionError."""
        with self._lock:
            if self._catalogue is None or refresh:
                self._catalogue = self._look()
            return self._catalogue

    def diagnose(self, question: Any) -> Any:
        """Findings from measured numbers, as `backend.catalogue.diagnosis` gives them.

        Raises InspectionError if there are none.
        """
        return self._executor.inspect("diagnose", question, self._limits.inspection)

    def _look(self) -> dict[str, Any]:
        self.plugins = tuple(map(str, self._given))
        failures: list[dict[str, str]] = []
        try:
            found = self._ask(self.plugins, self._limits.inspection)
        except InspectionError:
            failures = list(self._quarantine())
            found = self._ask(self.plugins, self._limits.inspection)
        devices = [{"name": d.name, "description": d.description} for d in self._devices]
        failures = [*found["failures"], *failures]
        return {**found, "failures": failures, "devices": devices, "slots": len(self._slots)}

    def _ask(self, plugins: Sequence[str], timeout: float) -> dict[str, Any]:
        return self._executor.inspect("catalogue", {"plugins": plugins}, timeout)

    def _quarantine(self) -> Iterator[dict[str, str]]:
        """Yield the plug-ins that keep the catalogue from being made, and leave them out."""
        trial, sound = self._view / "trial", self._view / "sound"
        _empty(sound)
        for file in _files(self._given):
            _empty(trial)
            (trial / file.name).symlink_to(file)
            try:
                self._ask([str(trial)], self._limits.plugin)
                _link(file, sound)
            except InspectionError as error:
                yield {"source": str(file), "traceback": str(error)}
        self.plugins = (str(sound),)


def _device(config: Any) -> Any:
    return config.get("device", "auto") if isinstance(config, dict) else "auto"


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(f.resolve() for f in folder.glob("*.py") if f.name[0] != "_")


def _empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():
        link.unlink()


def _link(file: Path, folder: Path) -> None:
    """A link under a name of its own: two folders may hold files of one name."""
    number = len(list(folder.iterdir()))
    (folder / f"{number:03d}_{file.name}").symlink_to(file)
