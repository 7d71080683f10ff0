"""Images in Parquet files of the lab's data folder."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from backend.data_folders.folders import first_name, names
from backend.training.datasets.image_set import ImageSet
from backend.training.image_files.parquet import ImageFiles, image_files


def _usable(folder: str) -> str:
    image_files(folder)
    return folder


def _offer_names(schema: dict[str, Any]) -> None:
    """Let the form offer the data sets that there are."""
    if available := names():
        schema["enum"] = available


Folder = Annotated[
    str,
    AfterValidator(_usable),
    Field(validate_default=True, max_length=100, json_schema_extra=_offer_names),
]


@dataclass(frozen=True)
class ParquetImages(ImageSet):
    """Images in Parquet files laid out as on the Hugging Face hub, such as CIFAR-10 or MNIST.

    A data set is a folder of HOME/datasets, or of the folder that GRADLAB_DATA names, with files
    train-*.parquet and test-*.parquet. Their columns are image or img, and label.
    """

    title: ClassVar[str] = "Images from Parquet files"

    folder: Folder = field(default_factory=first_name)
    """The name of the data set's folder."""
    labels: Annotated[str, Field(max_length=100)] = ""
    """The column of labels where there are several: fine_label or coarse_label of CIFAR-100. Empty:
    label, or the first column of class labels."""

    @property
    def _files(self) -> ImageFiles:
        return image_files(self.folder, self.labels)
