"""`prepare`: fetch a data set of the hub into its folder, whole and checked, or not at all."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.data_folders.folders import DataError, data_dir, is_name
from backend.data_folders.hub import HubFile, HubFiles, download, hub_files
from backend.data_folders.manifest import Manifest, Stored, checksum, is_stored, manifest_of
from backend.data_folders.named import NAMED, HubSet, folder_name
from backend.machine_memory import in_words

ATTEMPTS = 2
"""How often a file is fetched whose content is not what the hub states."""
SPARE = 2**26
"""Bytes that stay free on the disk."""

Progress = Callable[[int, int], None]
"""Told of the bytes that are there, and of all."""


def prepare(
    name: str, wanted: HubSet | None = None, progress: Progress = lambda done, total: None
) -> Path:
    """The folder of the data set `name`, fetched if it is not there or is damaged.

    `name` is one of `NAMED`, or names the folder of `wanted`. Of two processes that prepare the
    same set, one waits for the other.

    Raises:
        DataError: The set is not on the hub, the hub does not answer, its files are not what it
            states, the disk has no room, or a folder of that name has another origin.
    """
    if not is_name(name):
        raise DataError(f"{name!r} is no name of letters, digits, '.', '_' and '-'")
    wanted = wanted or wanted_set(name)[1]
    folder = data_dir() / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(name):
            return _prepared(folder, wanted, progress)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """While no other process prepares the set."""
    from filelock import FileLock

    with FileLock(data_dir() / f".{name}.lock"):
        yield


def _prepared(folder: Path, wanted: HubSet, progress: Progress) -> Path:
    former = manifest_of(folder)
    if folder.exists() and former is None:
        raise DataError(f"{folder} has no manifest of a download: move it away, or use it as it is")
    if former is not None and former.source != wanted.repo:
        raise DataError(f"{folder} holds {former.source}; move it away to fetch {wanted.repo}")
    if former is not None and not former.damaged(folder):
        return folder
    files = hub_files(wanted)
    staging = folder.with_name(f".{folder.name}.part")
    staging.mkdir(exist_ok=True)
    target = staging if former is None else folder
    _fetch(files, target, staging / "downloads", progress)
    if former is None:
        shutil.rmtree(staging / "downloads", ignore_errors=True)
        staging.rename(folder)
    else:
        shutil.rmtree(staging)
    return folder


def _fetch(files: HubFiles, target: Path, downloads: Path, progress: Progress) -> None:
    """Bring every file that is not there into `target`, then write the manifest."""
    arrived, missing = 0, []
    for name, file in _named(files):
        if file.sha256 and is_stored(target / name, Stored(file.size, file.sha256)):
            arrived += file.size
        else:
            missing.append((name, file))
    _require_room(sum(file.size for _, file in missing), target)
    for name, file in missing:
        before = arrived

        def more(count: int) -> None:
            nonlocal arrived
            arrived += count
            progress(min(arrived, files.size), files.size)

        path = _checked(files, file, downloads, more)
        path.replace(target / name)
        arrived = before + file.size
        progress(arrived, files.size)
    _manifest(files, target).write(target)


def _named(files: HubFiles) -> Iterator[tuple[str, HubFile]]:
    """The files with their names in a folder: train-00000-of-00002.parquet."""
    for part, of_part in files.parts.items():
        for number, file in enumerate(of_part):
            yield f"{part}-{number:05d}-of-{len(of_part):05d}.parquet", file


def _checked(files: HubFiles, file: HubFile, downloads: Path, more: Callable[[int], None]) -> Path:
    """A file as the hub states it; fetched again if it arrived otherwise."""
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            path = download(files, file, downloads, more)
        except DataError as error:
            problem = str(error)  # what has arrived stays, so that the download goes on
            continue
        size = path.stat().st_size
        if size == file.size and (not file.sha256 or checksum(path) == file.sha256):
            return path
        what = f"{size:,} of {file.size:,} bytes" if size != file.size else "another checksum"
        problem = f"{file.path} of {files.repo} arrived with {what}: fetch it again later"
        shutil.rmtree(downloads, ignore_errors=True)
    raise DataError(problem)


def _require_room(size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise DataError(
            f"{in_words(size)} are to be fetched into {folder.parent}, whose disk has "
            f"{in_words(free)} free: make room, or let GRADLAB_DATA name a folder on another disk"
        )


def _manifest(files: HubFiles, folder: Path) -> Manifest:
    import pyarrow.parquet as pq

    stored = {}
    for name, file in _named(files):
        path = folder / name
        rows = pq.read_metadata(path).num_rows
        stored[name] = Stored(file.size, file.sha256 or checksum(path), rows)
    return Manifest(files.repo, files.config, files.revision, stored)


def wanted_set(text: str, config: str = "", test: str = "") -> tuple[str, HubSet]:
    """The folder and the set that a user asks for: a name, or owner/name of the hub."""
    if "/" not in text:
        if text not in NAMED:
            raise DataError(
                f"there is no data set {text!r}; there are {', '.join(NAMED)}, or any of the hub "
                "as owner/name"
            )
        return text, NAMED[text]
    return folder_name(text, config), HubSet(text, config, test=test)
