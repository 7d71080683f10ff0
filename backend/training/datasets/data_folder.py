"""`folder_field`: the field of a data set that names its folder among those that there are."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic import AfterValidator, Field

from backend.data_folders.folders import Pattern, names


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
