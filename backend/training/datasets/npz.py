"""Arrays in an .npz file of the lab's data folder."""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from backend.data_folders.folders import first_name, names
from backend.training.datasets.array_set import ArraySet
from backend.training.tables.arrays import Arrays, arrays
from backend.training.tables.readers import read_npz

PATTERN = "*.npz"


def _usable(folder: str) -> str:
    arrays(folder, PATTERN, read_npz)
    return folder


def _offer_names(schema: dict[str, Any]) -> None:
    if available := names(PATTERN):
        schema["enum"] = available


Folder = Annotated[
    str,
    AfterValidator(_usable),
    Field(validate_default=True, max_length=100, json_schema_extra=_offer_names),
]


@dataclass(frozen=True)
class Npz(ArraySet):
    """Arrays from an .npz file: x_train, y_train, x_test and y_test, or x and y.

    A data set is a folder of HOME/datasets with one file *.npz. Examples are numbers of any shape:
    vectors (N, D), images (N, H, W) or (N, C, H, W). Labels are integers 0 … C − 1. Pickled objects
    are not loaded.
    """

    title: ClassVar[str] = "Arrays from an .npz file"

    folder: Folder = field(default_factory=partial(first_name, PATTERN))
    """The name of the data set's folder."""

    @property
    def _arrays(self) -> Arrays:
        return arrays(self.folder, PATTERN, read_npz)
