"""Arrays in an .npz file of the lab's data folder."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from backend.data_folders.folders import Pattern
from backend.training.datasets.array_set import ArraySet
from backend.training.datasets.data_folder import examined, first_name, folder_field
from backend.training.tables.arrays import Arrays, arrays
from backend.training.tables.readers import read_npz

PATTERN: Pattern = "*.npz"


def _examine(folder: str) -> Arrays:
    return arrays(folder, PATTERN, read_npz)


Folder = Annotated[str, examined(_examine), folder_field(PATTERN)]


@dataclass(frozen=True)
class Npz(ArraySet):
    """Arrays from an .npz file: x_train, y_train, x_test and y_test, or x and y.

    A data set is a folder of HOME/datasets with one file *.npz. Examples are numbers of any shape:
    vectors (N, D), images (N, H, W) or (N, C, H, W). Labels are integers 0 … C − 1. Pickled objects
    are not loaded.
    """

    title: ClassVar[str] = "Arrays from an .npz file"

    folder: Folder = field(default_factory=first_name(PATTERN))
    """The name of the data set's folder."""

    @property
    def _arrays(self) -> Arrays:
        return _examine(self.folder)
