"""`HomeDrawer`: the figures of a home's plug-ins, drawn without a server, as the server does it."""

from collections.abc import Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from backend.jobs.attempt import DEFAULT_LIMITS, Limits
from backend.jobs.inspections import Inspections
from backend.jobs.local_executor import LocalExecutor

GROUP = "gradlab.figures"
"""The entry points of packages that offer figures."""


class HomeDrawer:
    """Lists and draws the figures of plug-ins (a `backend.sharing.own_figures.Drawer`).

    A context manager. Its inspectors have the time limits of the server's and read the database
    alone; they start when the figures are first asked for, and only if there are plug-ins. A
    server of the same home may be running.
    """

    def __init__(
        self,
        home: Path,
        plugins: Sequence[Path],
        database: str,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._home, self._plugins, self._database = home, plugins, database
        self._limits, self._stack = limits, ExitStack()
        self._inspections: Inspections | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stack.close()

    def own_figures(self, *, wait: bool = False) -> list[dict[str, Any]]:
        """Their entries of the catalogue, as `Inspections.own_figures`; none without plug-ins."""
        if not self._may_have_figures():
            return []
        return self._started().own_figures(wait=wait)

    def draw(self, name: str, run_id: str) -> dict[str, Any]:
        """See `Inspections.draw`."""
        return self._started().draw(name, run_id, self._database)

    def _may_have_figures(self) -> bool:
        files = (file for folder in self._plugins for file in folder.glob("*.py"))
        return any(file.name[0] != "_" for file in files) or bool(
            metadata.entry_points(group=GROUP)
        )

    def _started(self) -> Inspections:
        if self._inspections is None:
            executor = LocalExecutor(self._home)
            executor.open(lambda exit: None)  # it starts no run
            self._stack.callback(executor.close)
            # The folder of plug-ins that were excluded is a server's own.
            folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="gradlab-")))
            self._inspections = Inspections(
                executor, folder, self._plugins, (), (), self._limits, figures_alone=True
            )
        return self._inspections
