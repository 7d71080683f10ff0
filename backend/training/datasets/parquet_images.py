"""Images in Parquet files of the lab's data folder."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from backend.data_folders.folders import PARQUET
from backend.training.datasets.data_folder import examined, first_name, folder_field
from backend.training.datasets.image_set import ImageSet
from backend.training.image_files.parquet import ImageFiles, image_files

Folder = Annotated[str, examined(image_files), folder_field(PARQUET)]


@dataclass(frozen=True)
class ParquetImages(ImageSet):
    """Images in Parquet files laid out as on the Hugging Face hub, such as CIFAR-10 or MNIST.

    A data set is a folder of HOME/datasets, or of the folder that GRADLAB_DATA names, with files
    train-*.parquet and test-*.parquet. Their columns are image or img, and label.
    """

    title: ClassVar[str] = "Images from Parquet files"

    folder: Folder = field(default_factory=first_name(PARQUET))
    """The name of the data set's folder."""
    labels: Annotated[str, Field(max_length=100)] = ""
    """The column of labels where there are several: fine_label or coarse_label of CIFAR-100. Empty:
    label, or the first column of class labels."""

    @property
    def _files(self) -> ImageFiles:
        return image_files(self.folder, self.labels)
