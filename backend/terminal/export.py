"""`gradlab export`: write a run from the database to a file, without a server."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from backend import sharing
from backend.settings import Settings, SettingsError, settings
from backend.store import Run, Store, open_engine
from backend.store.base import MissingError
from backend.store.engine import DatabaseError


class ExportError(Exception):
    """Nothing was exported; the message says why."""


def write(name: str, kind: str, output: Path | None, given: Mapping[str, Any]) -> str:
    """Write the run `name` (a number or an id) to a file; returns the name of the file.

    Raises ExportError if there is no such run or database.
    """
    with _store(given) as store:
        run = _find(store, name)
        path = output or Path(f"run-{run.number}.{kind}")
        if str(path) == "-":
            _to_stdout(store, run, kind)
            return "standard output"
        try:
            _to_file(store, run, kind, path)
        except OSError as error:
            raise ExportError(f"cannot write {path}: {error.strerror}") from error
        return str(path)


@contextmanager
def _store(given: Mapping[str, Any]) -> Iterator[Store]:
    chosen = _settings(given)
    if chosen.database_url is None and not (chosen.home / "lab.db").exists():
        raise ExportError(f"there is no lab in {chosen.home}; give its home with --home")
    try:
        engine = open_engine(chosen.database)
    except DatabaseError as error:
        raise ExportError(str(error)) from error
    try:
        yield Store(engine)
    finally:
        engine.dispose()


def _settings(given: Mapping[str, Any]) -> Settings:
    try:
        return settings(**given)
    except SettingsError as error:
        raise ExportError(str(error)) from error


def _find(store: Store, name: str) -> Run:
    try:
        return store.find(name)
    except MissingError as error:
        raise ExportError(str(error)) from error


def _to_file(store: Store, run: Run, kind: str, path: Path) -> None:
    if kind == "parquet":
        with store.snapshot() as snapshot:
            sharing.parquet(snapshot, [run.id], path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        _text(store, run, kind, file)


def _to_stdout(store: Store, run: Run, kind: str) -> None:
    if kind == "parquet":
        raise ExportError("Parquet is binary and seekable; give a file with --output")
    _text(store, run, kind, sys.stdout)


def _text(store: Store, run: Run, kind: str, file: IO[str]) -> None:
    with store.snapshot() as snapshot:
        if kind == "html":
            title = run.name or f"Run {run.number}"
            file.writelines(sharing.html_pieces(snapshot, [run.id], title))
        else:
            # What follows in a pipe is a program, which would take the mark for a part of the
            # header.
            mark = file is not sys.stdout
            file.writelines(sharing.csv_rows(snapshot, [run.id], mark=mark))
