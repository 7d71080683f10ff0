"""`StoredHome`: the database and the plug-ins of a home, without a server.

`gradlab export` and `gradlab.show_run` read runs by it. A server of the home may be running.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from backend.jobs.home_drawer import HomeDrawer
from backend.settings import SettingsError, settings
from backend.store import DatabaseError, Run, Store, open_engine
from backend.store.base import MissingError


class StoredHomeError(Exception):
    """There is no such home, database or run; the message says which, and what is allowed."""


class StoredHome:
    """A home, opened: `store` is its database. A context manager, or closed by `close`."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """`given` are settings that take precedence over the environment, such as `home`.

        Raises StoredHomeError if there is no such lab.
        """
        try:
            self._settings = settings(**given)
        except SettingsError as error:
            raise StoredHomeError(str(error)) from error
        home = self._settings.home
        if self._settings.database_url is None and not (home / "lab.db").exists():
            raise StoredHomeError(f"there is no lab in {home}; give its home")
        try:
            self.store = Store(open_engine(self._settings.database))
        except DatabaseError as error:
            raise StoredHomeError(str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self.store.engine.dispose()

    def find(self, name: str) -> Run:
        """The run of this number or id. Raises StoredHomeError."""
        try:
            return self.store.find(name)
        except MissingError as error:
            raise StoredHomeError(str(error)) from error

    def drawer(self) -> HomeDrawer:
        """What draws the figures of the home's plug-ins; close it, or use it in a `with`."""
        chosen = self._settings
        return HomeDrawer(chosen.home, chosen.plugin_dirs, chosen.database)
