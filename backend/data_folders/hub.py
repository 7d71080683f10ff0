"""What the Hugging Face hub has of a data set: files of its Parquet branch, and one of them.

The hub converts data sets to Parquet on a branch of its own. Nothing else is read: no script is
run, no pickle is loaded.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from backend.data_folders.folders import DataError, data_dir, not_written
from backend.data_folders.named import HubSet, called

BRANCH = "refs/convert/parquet"
TEST_SPLITS = ("test", "validation", "valid", "val", "dev")
"""The test part is the first of these, as far as nothing else is asked for."""

Progress = Callable[[int], None]
"""Told how many bytes of a file have arrived."""


class HubFile(NamedTuple):
    """A file on the hub."""

    path: str
    size: int
    sha256: str
    """Empty if the hub does not state it."""


class HubFiles(NamedTuple):
    """The files of both parts, in one state of the hub."""

    repo: str
    config: str
    revision: str
    parts: dict[str, list[HubFile]]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for files in self.parts.values() for file in files)


def hub_files(wanted: HubSet) -> HubFiles:
    """What the hub has. Raises DataError, in one sentence."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=_endpoint())
    try:
        revision = api.dataset_info(wanted.repo, revision=BRANCH).sha or BRANCH
        tree = api.list_repo_tree(
            wanted.repo, recursive=True, revision=revision, repo_type="dataset"
        )
        files = [_file(entry) for entry in tree if entry.path.endswith(".parquet")]
    except Exception as error:
        raise DataError(_refusal(wanted.repo, error)) from error
    splits: dict[str, dict[str, list[HubFile]]] = {}
    for file in sorted(files):
        config, _, rest = file.path.partition("/")
        splits.setdefault(config, {}).setdefault(rest.partition("/")[0], []).append(file)
    config = _config(wanted, list(splits))
    parts = {
        "train": _split(wanted.repo, splits[config], (wanted.train,)),
        "test": _split(wanted.repo, splits[config], (wanted.test,) if wanted.test else TEST_SPLITS),
    }
    return HubFiles(wanted.repo, config, revision, parts)


def download(files: HubFiles, file: HubFile, folder: Path, progress: Progress) -> Path:
    """Bring a file into `folder`; returns its path there. Raises DataError, in one sentence.

    A download that was interrupted goes on. The content is not examined.
    """
    from huggingface_hub import hf_hub_download
    from tqdm import tqdm

    class Told(tqdm):
        """A bar that is not drawn."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})
            self._arrived = int(kwargs.get("initial") or 0)  # of a download that was interrupted
            progress(self._arrived)

        def update(self, n: float | None = 1) -> bool | None:
            self._arrived += int(n or 0)
            progress(self._arrived)
            return super().update(n)

    try:
        path = hf_hub_download(
            files.repo, file.path, repo_type="dataset", revision=files.revision,
            local_dir=folder, tqdm_class=Told, endpoint=_endpoint(),
        )  # fmt: skip
    except Exception as error:
        if "Consistency check failed" in str(error):
            raise DataError(
                f"{file.path} of {files.repo} arrived cut off: fetch it again later"
            ) from error
        raise DataError(_refusal(files.repo, error)) from error
    return Path(path)


def _endpoint() -> str | None:
    """Another address of the hub, such as a mirror's."""
    return os.environ.get("HF_ENDPOINT") or None


def _file(entry: Any) -> HubFile:
    return HubFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else "")


def _config(wanted: HubSet, configs: list[str]) -> str:
    listed = ", ".join(configs) or "none"
    if wanted.config:
        if wanted.config not in configs:
            raise DataError(f"{wanted.repo} has no config {wanted.config!r}; it has {listed}")
        return wanted.config
    if len(configs) != 1:
        raise DataError(f"{wanted.repo} has {len(configs)} configs; give one of them: {listed}")
    return configs[0]


def _split(repo: str, splits: dict[str, list[HubFile]], names: tuple[str, ...]) -> list[HubFile]:
    name = next((name for name in names if name in splits), None)
    if name is not None:
        return splits[name]
    if partial := [split for split in splits if split.startswith("partial-")]:
        raise DataError(
            f"the hub has only a part of {repo} as Parquet ({', '.join(partial)}): it is too large"
        )
    raise DataError(f"{repo} has no split {' or '.join(names)}; it has {', '.join(splits)}")


def _refusal(repo: str, error: Exception) -> str:
    """Why the hub did not answer, in one sentence."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is open only to users who have agreed to its terms: see its page on the hub"
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"the hub has no Parquet files of {repo}; data sets that need code of their own are "
            "not read"
        )
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return f"the hub has no public data set {repo!r}"
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return not_written(error)
    first = (str(error).strip().splitlines() or [""])[0]
    return (
        f"the Hugging Face hub does not answer ({type(error).__name__}: {first[:120]}): run "
        f"`gradlab data get {called(repo)}` where there is a network, and copy its folder into "
        f"{data_dir()}"
    )
