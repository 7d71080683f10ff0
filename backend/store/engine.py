"""Opening the database: checks, SQLite settings, and migrations.

A file that is not a database of this lab is never changed; DatabaseError says what it is.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

_log = logging.getLogger(__name__)

MAGIC = b"SQLite format 3\x00"
# Larger than SQLite's 4 kB, so that a merged chunk is read in fewer overflow pages.
PAGE = 16384
LOCK_SECONDS = 5.0
"""For another program to release its lock, when the file is opened."""
MOST_CHECKED = 1 << 28
"""Bytes of the largest file that is checked for damage when it is opened: about a second."""
MOST_REWRITTEN = 1 << 30
"""Bytes of the largest file that is rewritten when it is opened: some seconds, once."""
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    # The log of a long transaction is shortened afterwards.
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA busy_timeout=10000",
    "PRAGMA foreign_keys=ON",
    # Of each connection, of which there may be forty.
    "PRAGMA cache_size=-8192",
)


class DatabaseError(Exception):
    """The database cannot be used; the message says why and what to do."""


def open_engine(url: str) -> Engine:
    """The engine of the database at `url`, which is created or migrated to the newest schema.

    Raises DatabaseError if the file is not an SQLite database, is damaged, belongs to another
    program or was written by a newer version of the lab, and if there is no driver for `url`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseError(
            "the database URL is not one; give e.g. sqlite:////home/me/lab.db"
        ) from None
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database:
        _refuse_other_files(Path(parsed.database))
    engine = _engine(parsed, {"pool_size": 40, "pool_use_lifo": True} if sqlite else {})
    if sqlite:
        event.listen(engine, "connect", _tune)
        event.listen(engine, "begin", _begin)
    try:
        if migrate(engine) and sqlite:
            _allow_vacuum(engine)
    except DatabaseError:
        engine.dispose()
        raise
    except DBAPIError as error:
        engine.dispose()
        raise DatabaseError(
            f"the database {_shown(engine)} cannot be opened: {_first_line(error.orig)}"
        ) from error
    return engine


def open_reader(url: str) -> Engine:
    """An engine that only reads the database at `url`, which a server has opened before."""
    engine = _engine(make_url(url), {})
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda dbapi, _: dbapi.execute("PRAGMA query_only = ON"))
    return engine


def _engine(url: URL, options: dict[str, Any]) -> Engine:
    kind = url.get_backend_name()
    try:
        return create_engine(url, **options)
    except ArgumentError:
        raise DatabaseError(
            f"the database URL is of {kind!r}, which is not known; give e.g. sqlite or postgresql"
        ) from None
    except ImportError as error:
        raise DatabaseError(
            f"the driver of {kind} databases, {error.name}, is not installed; install it, name "
            f"another one ({kind}+DRIVER://…), or leave the URL out for SQLite"
        ) from None


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or ["no reason was given"])[0]


def _refuse_other_files(path: Path) -> None:
    """Check the file before any connection that changes settings, and so writes."""
    start = _start(path)
    if not start:
        return
    if start != MAGIC:
        raise DatabaseError(
            f"{path} is not a database (it does not begin as an SQLite file does); "
            "move it away or give another home. It was not changed"
        )
    tables = _tables(path)
    _refuse_damaged(path)
    if tables and "alembic_version" not in tables:
        raise DatabaseError(
            f"{path} belongs to another program (its tables: {', '.join(tables[:5])}); "
            "give another home or database. It was not changed"
        )


def _refuse_damaged(path: Path) -> None:
    """Check that every page is where it belongs, before anything is written."""
    if path.stat().st_size > MOST_CHECKED:
        return
    with closing(_read_only(path)) as connection:
        try:
            ((first, *_),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            first = str(error)
    if first != "ok":
        raise DatabaseError(
            f"the database {path} cannot be used, it is damaged: {' '.join(first.split())}. "
            "It was not changed; put a backup in its place, or give another home"
        )


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=LOCK_SECONDS)


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC))
    except FileNotFoundError:
        return b""
    except IsADirectoryError:
        raise DatabaseError(
            f"{path} is a folder, and a database is a file; move it away or give another home"
        ) from None
    except OSError as error:
        raise DatabaseError(f"the database {path} cannot be read: {error.strerror}") from None


def _tables(path: Path) -> list[str]:
    with closing(_read_only(path)) as connection:
        try:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return [name for (name,) in rows]
        except sqlite3.DatabaseError as error:
            raise DatabaseError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: sqlite3.Error) -> str:
    if "locked" in str(error):
        return f"the database {path} cannot be opened: another program has locked it; end that one"
    return f"{path} cannot be read: {error}. It was not changed"


def _tune(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        # The driver would begin transactions implicitly; `_begin` does so explicitly.
        connection.isolation_level = None
    connection.execute(f"PRAGMA page_size={PAGE}")
    if isinstance(connection, sqlite3.Connection) and _is_empty(connection):
        # Free pages can be given back in small steps. In a file with tables this would write, and
        # before the size of a page is set it would fix that.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("PRAGMA page_count").fetchone() == (0,)


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail however long it waits; one that
    # takes the write lock at its start waits for its turn.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def alembic_config() -> Config:
    """Alembic's configuration, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _allow_vacuum(engine: Engine) -> None:
    """Rewrite a file of an earlier version, so that its free pages can be given back.

    A large one is left as it is: its free pages are used again by later runs.
    """
    connection = engine.raw_connection()
    try:
        ask = connection.driver_connection.execute  # type: ignore[union-attr]
        (mode,), (pages,) = (ask(f"PRAGMA {n}").fetchone() for n in ("auto_vacuum", "page_count"))
        if mode == 0 and pages * PAGE <= MOST_REWRITTEN:
            ask("PRAGMA auto_vacuum=INCREMENTAL")
            ask("VACUUM")
    except sqlite3.Error as error:  # no room for a second file: the first is as it was
        _log.warning("the space of deleted runs is not given back: %s", error)
    finally:
        connection.close()


def close_engine(engine: Engine) -> None:
    """Close the database. Of SQLite, one file then holds everything, without a log beside it."""
    try:
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except DBAPIError as error:  # a full disk: the log beside the file holds the rest
        _log.warning("the database's log stays beside it: %s", _first_line(error.orig))
    finally:
        engine.dispose()


def migrate(engine: Engine) -> bool:
    """Migrate the schema to the newest version; whether there was anything to do.

    Raises DatabaseError if it is newer than that.
    """
    config = alembic_config()
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    revisions = {revision.revision for revision in script.walk_revisions()}
    if current is not None and current not in revisions:
        raise DatabaseError(
            f"{_shown(engine)} was written by a newer version of the lab (schema {current}); "
            f"this one knows up to {script.get_current_head()}. Upgrade the lab. It was not changed"
        )
    if current == script.get_current_head():
        return False
    with engine.execution_options(writing=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True


def _shown(engine: Engine) -> str:
    return engine.url.database or engine.url.render_as_string()
