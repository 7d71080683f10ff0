"""`gradlab export`: write a run from the database to a file, without a server."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from backend import sharing
from backend.store import Run
from backend.stored_home import StoredHome, StoredHomeError


class ExportError(Exception):
    """Nothing was exported; the message says why."""


def write(name: str, kind: str, output: Path | None, given: Mapping[str, Any]) -> str:
    """Write the run `name` (a number or an id) to a file; returns the name of the file.

    Raises ExportError if there is no such run or database.
    """
    try:
        with StoredHome(given) as home:
            return _write(home, home.find(name), kind, output)
    except StoredHomeError as error:
        raise ExportError(str(error)) from error


def _write(home: StoredHome, run: Run, kind: str, output: Path | None) -> str:
    path = output or Path(f"run-{run.number}.{kind}")
    if str(path) == "-":
        _to_stdout(home, run, kind)
        return "standard output"
    try:
        _to_file(home, run, kind, path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error
    return str(path)


def _to_file(home: StoredHome, run: Run, kind: str, path: Path) -> None:
    if kind == "parquet":
        with home.store.snapshot() as snapshot:
            sharing.parquet(snapshot, [run.id], path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        _text(home, run, kind, file)


def _to_stdout(home: StoredHome, run: Run, kind: str) -> None:
    if kind == "parquet":
        raise ExportError("Parquet is binary and seekable; give a file with --output")
    _text(home, run, kind, sys.stdout)


def _text(home: StoredHome, run: Run, kind: str, file: IO[str]) -> None:
    with home.store.snapshot() as snapshot:
        if kind == "html":
            title = run.name or f"Run {run.number}"
            with home.drawer() as drawer:
                own = sharing.OwnFigures(drawer, snapshot)
                file.writelines(sharing.html_pieces(snapshot, [run.id], title, own=own))
        else:
            # What follows in a pipe is a program, which would take the mark for a part of the
            # header.
            mark = file is not sys.stdout
            file.writelines(sharing.csv_rows(snapshot, [run.id], mark=mark))
