"""`Inspections`: the server's questions to inspectors: catalogue, validation, diagnosis."""

import threading
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from backend.config import COMPONENTS, Kind
from backend.jobs.attempt import Limits
from backend.jobs.devices import Device, Slot, refusal
from backend.jobs.executor import Executor, InspectionError


class Inspections:
    """Asks inspectors, keeps the catalogue, and excludes plug-ins that hang or crash.

    The catalogue itself lists a plug-in that raises at import. A plug-in that never returns or
    ends its process prevents the catalogue. Then each file is tried alone, and those that fail
    are excluded, from runs too, until the next refresh.
    """

    def __init__(
        self,
        executor: Executor,
        home: Path,
        plugins: Sequence[Path],
        devices: Sequence[Device],
        slots: Sequence[Slot],
        limits: Limits,
        *,
        figures_alone: bool = False,
    ) -> None:
        """`figures_alone`: the catalogue holds the figures of plug-ins and nothing else."""
        self._executor, self._limits = executor, limits
        self._devices, self._slots = devices, slots
        self._plugin_dirs, self._vetted = list(plugins), home / "vetted-plugins"
        self._lock, self._figures_alone = threading.Lock(), figures_alone
        self._catalogue: dict[str, Any] | None = None
        self.plugins = tuple(map(str, plugins))
        """The folders of the plug-ins that can be loaded."""

    def validate(self, configs: Sequence[Any], kind: Kind = "training") -> list[dict[str, Any]]:
        """The answer of `backend.catalogue.validate` for each configuration, from one process.

        Raises InspectionError if there is no answer.
        """
        payload = {"configs": configs, "kind": kind, "plugins": self.plugins}
        try:
            answers = self._executor.inspect("validate", payload, self._limits.inspection)
        except InspectionError as error:
            raise InspectionError(self._unchecked(error, configs)) from error
        for config, answer in zip(configs, answers, strict=True):
            problem = refusal(str(_device(config)), self._slots)
            if problem and all(error["loc"] != ["device"] for error in answer["errors"]):
                answer["errors"].append({"loc": ["device"], "msg": problem})
        return answers

    def fit(self, configs: Sequence[Any], field: str, limit: int) -> list[dict[str, Any]]:
        """The answer of `backend.catalogue.fitting.fit_all`. Raises InspectionError."""
        payload = {"configs": configs, "field": field, "limit": limit, "plugins": self.plugins}
        try:
            return self._executor.inspect("fit", payload, self._limits.inspection)
        except InspectionError as error:
            raise InspectionError(self._unchecked(error, configs)) from error

    def draft(self, configs: Sequence[Any], chosen: str) -> dict[str, Any]:
        """The answer of `backend.catalogue.new_run.draft.inspect_draft`, with the refusals of
        devices. Raises InspectionError."""
        payload = {"configs": configs, "chosen": chosen, "plugins": self.plugins}
        try:
            answer = self._executor.inspect("draft", payload, self._limits.inspection)
        except InspectionError as error:
            raise InspectionError(self._unchecked(error, configs)) from error
        problems = answer["problems"]
        for device in dict.fromkeys(str(_device(config)) for config in configs):
            problem = refusal(device, self._slots)
            if problem and all(error["loc"] != ["device"] for error in problems):
                problems.append({"loc": ["device"], "msg": problem, "remedies": []})
        return answer

    def unsuited(self, config: Any) -> dict[str, dict[str, str]]:
        """What `backend.catalogue.new_run.suitability.unsuited` answers. Raises InspectionError."""
        payload = {"config": config, "plugins": self.plugins}
        return self._executor.inspect("unsuited", payload, self._limits.inspection)

    def _unchecked(self, error: InspectionError, configs: Sequence[Any]) -> str:
        """Why configurations were not checked, with the plug-ins that may be the reason."""
        text, listed = f"the configuration was not checked: {error}", self._catalogue or {}
        used = {
            f"the plug-in {kind} {entry['name']} ({entry['source']['file']})"
            for config in configs
            for kind, name in _named(config)
            for entry in listed.get(f"{kind}s" if kind != "loss" else "losses", ())
            if entry["name"] == name and entry["source"]["kind"] != "builtin"
        }
        if not used:
            return text
        plugins = " and ".join(sorted(used))
        return f"{text}. It uses {plugins}, whose code may end the process or not return"

    def catalogue(self, refresh: bool = False) -> dict[str, Any]:
        """Everything that a configuration can name. Raises InspectionError."""
        with self._lock:
            if self._catalogue is None or refresh:
                self._catalogue = self._build_catalogue()
            return self._catalogue

    def diagnose(self, question: Any) -> Any:
        """Findings from measured numbers, as `estimators.statistics.findings` gives them.

        Raises InspectionError if there is no answer.
        """
        return self._executor.inspect("diagnose", question, self._limits.inspection)

    def own_figures(self, *, wait: bool = False) -> list[dict[str, Any]]:
        """The entries of the plug-ins' figures, as far as the catalogue is built.

        `wait` builds it if needed; raises InspectionError.
        """
        catalogue = self.catalogue() if wait else self._catalogue
        return (catalogue or {}).get("figures", [])

    def draw(self, name: str, run: str, database: str) -> dict[str, Any]:
        """`{figure}`, a plug-in's figure of a run, or `{problem}`. Raises InspectionError."""
        payload = {"name": name, "run": run, "database": database, "plugins": self.plugins}
        return self._executor.inspect("figure", payload, self._limits.plugin)

    def _build_catalogue(self) -> dict[str, Any]:
        self.plugins = tuple(map(str, self._plugin_dirs))
        failures: list[dict[str, Any]] = []
        try:
            answer = self._ask(self.plugins, self._limits.inspection)
        except InspectionError:
            failures = list(self._exclude_broken_plugins())
            answer = self._ask(self.plugins, self._limits.inspection)
        failures = [*answer["failures"], *failures]
        # Each validation and each run would wait for them again.
        self._exclude({Path(f["source"]).resolve() for f in failures if f.get("timed_out")})
        devices = [{"name": d.name, "description": d.description} for d in self._devices]
        return {**answer, "failures": failures, "devices": devices, "slots": len(self._slots)}

    def _ask(self, plugins: Sequence[str], timeout: float) -> dict[str, Any]:
        payload = {
            "plugins": plugins,
            "import_seconds": self._limits.plugin_import,
            "figures_alone": self._figures_alone,
        }
        return self._executor.inspect("catalogue", payload, timeout)

    def _exclude(self, slow: Set[Path]) -> None:
        """Use all plug-ins but those in the files `slow`, if there are any."""
        files = list(_plugin_files([Path(folder) for folder in self.plugins]))
        if not slow & set(files):
            return
        sound = self._vetted / "sound"
        _empty(sound)
        for file in files:
            if file not in slow:
                _link(file, sound)
        self.plugins = (str(sound),)

    def _exclude_broken_plugins(self) -> Iterator[dict[str, Any]]:
        """Yield the plug-ins that prevent the catalogue, and use the others alone."""
        trial, sound = self._vetted / "trial", self._vetted / "sound"
        _empty(sound)
        for file in _plugin_files(self._plugin_dirs):
            _empty(trial)
            (trial / file.name).symlink_to(file)
            try:
                self._ask([str(trial)], self._limits.plugin)
                _link(file, sound)
            except InspectionError as error:
                yield {"source": str(file), "traceback": str(error)}
        self.plugins = (str(sound),)


def _named(config: Any) -> Iterator[tuple[str, Any]]:
    """(kind, name) of each component that a configuration names at its top."""
    parts = config if isinstance(config, dict) else {}
    shadows = parts.get("shadows")
    for kind, part in [
        *((kind, parts.get(kind)) for kind in COMPONENTS),
        *(("estimator", shadow) for shadow in (shadows if isinstance(shadows, list) else ())),
    ]:
        if isinstance(part, dict):
            yield kind, part.get("name")


def _device(config: Any) -> Any:
    return config.get("device", "auto") if isinstance(config, dict) else "auto"


def _plugin_files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(f.resolve() for f in folder.glob("*.py") if f.name[0] != "_")


def _empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():
        link.unlink()


def _link(file: Path, folder: Path) -> None:
    """Link with a number in the name: two folders may hold files of the same name."""
    number = len(list(folder.iterdir()))
    (folder / f"{number:03d}_{file.name}").symlink_to(file)
