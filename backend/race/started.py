"""`StartedRace`: which run is the race of a home, kept in a file of the home.

The page starts the race by itself once a home. The file remembers that it did, also after its run
was deleted.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.race.preset import Preset

NAME = "race.json"


class StartedRace:
    """The race of a home."""

    def __init__(self, home: Path, preset: Preset) -> None:
        self._file, self._preset = home / NAME, preset
        self._starting = threading.Lock()

    @property
    def run(self) -> str | None:
        """The id of its newest run; None before it was started, and for a run of another preset.

        The run may have been deleted since.
        """
        stored = self._stored()
        return self.runs[-1] if self.runs and stored.get("preset") == self._preset.digest else None

    @property
    def runs(self) -> list[str]:
        """The ids of all its runs, oldest first."""
        runs = self._stored().get("runs", [])
        return [str(run) for run in runs] if isinstance(runs, list) else []

    @property
    def was_started(self) -> bool:
        """Whether the race was started in this home before, by any version of the lab."""
        return self._file.exists()

    def start_once(self, may: Callable[[], bool], start: Callable[[], str]) -> str | None:
        """Start the race if it `may` be and was not before; returns the id of its newest run."""
        with self._starting:
            if not self.was_started and may():
                self._keep(start())
        return self.run

    def start_again(self, start: Callable[[], str]) -> str:
        """Start the race, whose run replaces the former one on the page."""
        with self._starting:
            run = start()
            self._keep(run)
        return run

    def _keep(self, run: str) -> None:
        fresh = self._file.with_suffix(".new")
        text = json.dumps({"runs": [*self.runs, run], "preset": self._preset.digest})
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self._file)

    def _stored(self) -> dict[str, Any]:
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}
