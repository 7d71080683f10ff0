"""`folder_field`: the field of a data set that names its folder among those that there are."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import partial
from typing import Any, get_args

from pydantic import AfterValidator, Field

from backend.data_folders.folders import PARQUET, Pattern, names
from backend.data_folders.named import NAMED

_READS: dict[Pattern, str] = {
    "train-*.parquet": "parquet_images",
    "CLASS/*.png": "image_folder",
    "*.npz": "npz",
    "*.csv": "csv_table",
    "*.txt": "characters",
}
"""The data set that reads folders with files of a pattern."""


def folder_field(files: Pattern, *, bundled: bool = False) -> Any:
    """The field of a folder that has `files`; the form offers the folders that there are.

    `bundled`: an empty name is allowed, and means what comes with the lab.
    """

    def offer(schema: dict[str, Any]) -> None:
        schema["data_files"], schema["bundled"] = files, bundled
        if available := names(files):
            schema["enum"] = [*([""] if bundled else []), *available]

    return Field(validate_default=not bundled, max_length=100, json_schema_extra=offer)


def examined(examine: Callable[[str], object]) -> AfterValidator:
    """Accepts the name of a folder that `examine` does not refuse."""

    def usable(folder: str) -> str:
        examine(folder)
        return folder

    return AfterValidator(usable)


def first_name(files: Pattern) -> Callable[[], str]:
    """The default: the first of the folders that there are, or none."""
    return partial(_first, files)


def _first(files: Pattern) -> str:
    return next(iter(names(files)), "")


def described_folder(name: str, datasets: Iterable[str]) -> str:
    """How a folder is described of which `name` may be the name; "" if a data set's is closer."""
    folders: dict[str, Pattern] = dict.fromkeys(NAMED, PARQUET)
    folders |= {folder: pattern for pattern in get_args(Pattern) for folder in names(pattern)}
    closest = get_close_matches(name, [*folders, *datasets], 1, 0.6)
    if not closest or closest[0] not in folders:
        return ""
    folder = closest[0]
    described = f"{{name: {_READS[folders[folder]]}, folder: {folder}}}"
    if folder == name:
        return f"{folder} is a folder, which is described as {described}"
    return f"did you mean the folder {folder}, described as {described}?"
