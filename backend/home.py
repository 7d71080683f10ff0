"""The home of a lab: a folder with a token and an instance id, for one server at a time."""

import fcntl
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

# SQLite's WAL needs shared memory between processes, which these do not guarantee.
NETWORK_FILE_SYSTEMS = {
    *("nfs", "nfs4", "cifs", "smbfs", "smb3", "afs", "ncpfs", "9p", "ceph", "glusterfs"),
    *("lustre", "gpfs", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone"),
}


class HomeError(Exception):
    """The home cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Home:
    """The path of a home, its token and its instance id."""

    path: Path
    token: str
    instance: str

    @property
    def plugins(self) -> Path:
        """The folder of plug-in estimators."""
        return self.path / "plugins"

    def run_dir(self, run_id: str) -> Path:
        """The folder of a run. Raises ValueError for a path outside of `runs`."""
        runs = (self.path / "runs").resolve()
        path = (runs / run_id).resolve()
        if path.parent != runs:
            raise ValueError(f"{run_id!r} is not a run's id")
        return path


def open_home(path: Path, token: str | None = None) -> Home:
    """Open a home; creates the folder (mode 0700), its token and its instance id if needed.

    A given `token` replaces the stored one, but is only written by `keep_token`, which the server
    calls. Raises HomeError if the folder cannot be created or written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in ("plugins", "runs"):
            (path / folder).mkdir(mode=0o700, exist_ok=True)
        used = token or _generated_once(path / "token", 32)
        return Home(path, used, _generated_once(path / "instance", 6).lower())
    except OSError as error:
        raise HomeError(f"the home {path} cannot be used: {_why(error)}") from error


def _why(error: OSError) -> str:
    """The reason, and the file where it is not the home itself."""
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror}{where}. Give a folder that can be written, with --home"


def keep_token(home: Home) -> None:
    """Write the served token to HOME/token (mode 0600), for this user's programs.

    Raises HomeError if it cannot be written.
    """
    path = home.path / "token"
    try:
        if not path.exists() or path.read_text().strip() != home.token:
            _replace(path, home.token)
    except OSError as error:
        raise HomeError(f"{path} cannot be written: {error.strerror}") from error


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically: readers see the former text or the new one."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def _generated_once(path: Path, size: int) -> str:
    """The secret in `path`, which is generated (mode 0600) if there is none."""
    try:
        # O_EXCL: of two processes, one generates the secret and the other reads it.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _secret(path)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(size))
    except OSError:  # a full disk
        path.unlink(missing_ok=True)
        raise
    return _secret(path)


def draw_again(path: Path, size: int) -> str:
    """Replace the secret in `path` by a new one. Raises HomeError if it cannot be written."""
    secret = secrets.token_hex(size)
    try:
        _replace(path, secret)
    except OSError as error:
        raise HomeError(f"{path} cannot be written: {error.strerror}") from error
    return secret


def _secret(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    text = path.read_text().strip()
    if len(text) < 12:
        raise HomeError(f"{path} has no usable secret; remove it, and a new one is generated")
    return text


@dataclass(frozen=True)
class Serving:
    """The server of a home: its process and its URL."""

    pid: int
    url: str


class Lock:
    """The right to serve a home, which this process has until `close` or its end.

    It is the kernel's lock on an open file, so a crashed server leaves no stale lock; the text of
    the file only names the holder. Raises HomeError with pid and URL if another server has it.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "lock"
        self._file = _open_locked(self._path)

    def publish(self, url: str) -> None:
        """Write pid and URL to the file, for other servers and for `gradlab run`."""
        self._file.seek(0)
        self._file.truncate()
        json.dump({"pid": os.getpid(), "url": url}, self._file)
        self._file.flush()

    def close(self) -> None:
        """Release the lock and remove its file."""
        if not self._file.closed:
            # While the lock is held: afterwards the file may be another server's.
            self._path.unlink(missing_ok=True)
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def _open_locked(path: Path) -> IO[str]:
    while True:
        file = _locked(path)
        with suppress(FileNotFoundError):
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        file.close()  # the file of a server that has just ended and removed it


def _locked(path: Path) -> IO[str]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise HomeError(f"the home {path.parent} cannot be used: {_why(error)}") from error
    file = os.fdopen(handle, "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _read(path)
        file.close()
        server = (
            f"by process {holder.pid} at {holder.url}" if holder else "by a server that is starting"
        )
        raise HomeError(
            f"the home {path.parent} is already served {server}; use that one, stop it, "
            "or give another home"
        ) from None
    return file


def serving(home: Path) -> Serving | None:
    """The server of `home`, or None."""
    path = home / "lock"
    try:
        file = path.open("r")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(path)
    return None


def _read(path: Path) -> Serving | None:
    try:
        return Serving(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def refuse_network_file_system(path: Path) -> None:
    """Raise HomeError where SQLite's write-ahead log could lose data."""
    kind = file_system(path)
    if kind in NETWORK_FILE_SYSTEMS:
        raise HomeError(
            f"{path} lies on a network file system ({kind}), where SQLite's write-ahead log can "
            "corrupt the database; give a home on a local disk, or a database_url"
        )


def file_system(path: Path) -> str:
    """The type of the file system of `path`; "" if it is unknown."""
    place = path.resolve()
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    return next((mounts[p] for p in (place, *place.parents) if p in mounts), "")
