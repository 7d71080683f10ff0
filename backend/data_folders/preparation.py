"""`prepare`: fetch a data set of the hub into its folder, whole and checked, or not at all."""

import shutil
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path

from backend.data_folders.exclusive import Progress, alone, silent
from backend.data_folders.folders import NAME_IN_WORDS, DataError, data_dir, is_name, not_written
from backend.data_folders.hub import HubFile, HubFiles, download, hub_files
from backend.data_folders.manifest import Manifest, Stored, checksum, is_stored, manifest_of
from backend.data_folders.named import NAMED, HubSet, folder_name, repo_and_config
from backend.machine_memory import in_words

ATTEMPTS = 2
"""How often a file is fetched whose content is not what the hub states."""
SPARE = 2**26
"""Bytes that stay free on the disk."""


def prepare(
    name: str,
    wanted: HubSet | None = None,
    progress: Progress = silent,
    waiting: Progress = silent,
) -> Path:
    """The folder of the data set `name`, fetched if it is not there or is damaged.

    `name` is one of `NAMED`, or names the folder of `wanted`. Of two processes that prepare the
    same set, one waits for the other: meanwhile its `waiting` is told of the other's progress.

    Raises:
        DataError: The set is not on the hub, the hub does not answer, its files are not what it
            states, the disk has no room, or a folder of that name has another origin.
    """
    if not is_name(name):
        raise DataError(f"the folder is {name!r}; it must be {NAME_IN_WORDS}")
    wanted = wanted or wanted_set(name)[1]
    folder = data_dir() / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder, waiting) as tell:

            def both(done: int, total: int) -> None:
                tell(done, total)
                progress(done, total)

            return _prepared(folder, wanted, both)
    except OSError as error:
        raise DataError(not_written(error)) from error


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
    _manifest(files, target, wanted.test).write(target)
    if former is None:
        shutil.rmtree(staging / "downloads", ignore_errors=True)
        staging.rename(folder)
    else:
        shutil.rmtree(staging)
    return folder


def _fetch(files: HubFiles, target: Path, downloads: Path, progress: Progress) -> None:
    """Bring every file that is not there into `target`."""
    arrived, missing = 0, []
    for name, file in _named(files):
        if file.sha256 and is_stored(target / name, Stored(file.size, file.sha256)):
            arrived += file.size
        else:
            missing.append((name, file))
    _require_room(sum(file.size for _, file in missing), target)
    progress(arrived, files.size)
    for name, file in missing:

        def of_file(count: int, before: int = arrived) -> None:
            progress(min(before + count, files.size), files.size)

        path = _checked(files, file, downloads, of_file)
        path.replace(target / name)
        arrived += file.size
        progress(arrived, files.size)


def _named(files: HubFiles) -> Iterator[tuple[str, HubFile]]:
    """The files with their names in a folder: train-00000-of-00002.parquet."""
    for part, of_part in files.parts.items():
        for number, file in enumerate(of_part):
            yield f"{part}-{number:05d}-of-{len(of_part):05d}.parquet", file


def _checked(
    files: HubFiles, file: HubFile, downloads: Path, of_file: Callable[[int], None]
) -> Path:
    """A file as the hub states it; fetched again if it arrived otherwise."""
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            path = download(files, file, downloads, of_file)
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


def _manifest(files: HubFiles, folder: Path, test: str) -> Manifest:
    import pyarrow.parquet as pq

    stored = {}
    for name, file in _named(files):
        path = folder / name
        rows = pq.read_metadata(path).num_rows
        stored[name] = Stored(file.size, file.sha256 or checksum(path), rows)
    return Manifest(files.repo, files.config, files.revision, stored, test)


def wanted_set(text: str, config: str = "", test: str = "") -> tuple[str, HubSet]:
    """The folder and the set that a user asks for.

    `text` is a name, owner/name of the hub, or the folder that such a set was fetched into.

    Raises:
        DataError: There is no such set, or it has another `config` or `test` already.
    """
    if text in NAMED:
        name, wanted = text, NAMED[text]
    elif is_name(text) and (former := manifest_of(data_dir() / text)):
        name, wanted = text, HubSet(former.source, former.config, test=former.test)
    elif "/" in text or "--" in text:
        name, wanted = _of_hub(text, config, test)
    else:
        similar = get_close_matches(text, NAMED, 1, 0.6)
        hint = f"did you mean {similar[0]!r}? There" if similar else "there"
        raise DataError(
            f"there is no data set {text!r}; {hint} are {', '.join(NAMED)}, or any of the hub as "
            "owner/name"
        )
    for field, asked, there in (("config", config, wanted.config), ("test", test, wanted.test)):
        if asked and asked != there:
            has = f"the {field} {there!r}" if there else f"no {field} of its own"
            raise DataError(f"{field} is {asked!r}, but {text} has {has}: leave {field} out")
    return name, wanted


def _of_hub(text: str, config: str, test: str) -> tuple[str, HubSet]:
    """The set for owner/name, or for a folder's name; with the test part of one that is here."""
    is_folder = "/" not in text
    repo, of_set = repo_and_config(text) if is_folder else (text, config)
    name = folder_name(repo, of_set)
    parts = [*repo.split("/"), *([of_set] if of_set else [])]
    is_sound = all(map(is_name, [name, *parts])) and repo_and_config(name) == (repo, of_set)
    if not is_sound or (is_folder and name != text):
        asked = f"{text!r}" + (f" with the config {config!r}" if config else "")
        raise DataError(f"{asked} is no data set of the hub; its name is owner/name")
    former = manifest_of(data_dir() / name)
    return name, HubSet(repo, of_set, test=former.test if former else test)
