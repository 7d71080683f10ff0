"""A table in CSV files of the lab's data folder."""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field

from backend.data_folders.folders import Pattern, folder_of
from backend.training.datasets.array_set import ArraySet
from backend.training.datasets.data_folder import examined, first_name, folder_field
from backend.training.tables.arrays import Arrays, arrays
from backend.training.tables.readers import read_csv

PATTERN: Pattern = "*.csv"
Folder = Annotated[str, examined(partial(folder_of, pattern=PATTERN)), folder_field(PATTERN)]


@dataclass(frozen=True)
class CSVTable(ArraySet):
    """A table from CSV files: numeric features, and a column of labels.

    A data set is a folder of HOME/datasets with one file *.csv, or two of which one's name begins
    with test. The first row names the columns. Labels are integers 0 … C − 1 or texts, which are
    numbered in alphabetical order.
    """

    title: ClassVar[str] = "Table from CSV files"

    folder: Folder = field(default_factory=first_name(PATTERN))
    """The name of the data set's folder."""
    label: Annotated[str, Field(max_length=100)] = "label"
    """The column of labels; all others are features."""

    def __post_init__(self) -> None:
        if self.folder:
            self._arrays  # noqa: B018, raises what is wrong with the files

    @property
    def _arrays(self) -> Arrays:
        return arrays(self.folder, PATTERN, read_csv, self.label)
