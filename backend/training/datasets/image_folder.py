"""Images in a folder for each class, in the lab's data folder."""

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from backend.data_folders.folders import IMAGES, first_name, names
from backend.training.datasets.image_set import ImageSet
from backend.training.image_files.folder_images import FolderImages, folder_images


def _usable(folder: str) -> str:
    folder_images(folder)
    return folder


def _offer_names(schema: dict[str, Any]) -> None:
    """Let the form offer the data sets that there are."""
    if available := names(IMAGES):
        schema["enum"] = available


Folder = Annotated[
    str,
    AfterValidator(_usable),
    Field(validate_default=True, max_length=100, json_schema_extra=_offer_names),
]


@dataclass(frozen=True)
class ImageFolder(ImageSet):
    """Images as PNG, JPEG, BMP or WebP files, in a folder for each class.

    A data set is a folder of HOME/datasets, or of the folder that GRADLAB_DATA names, with files
    train/CLASS/* and test/CLASS/*, or CLASS/*. The sorted names of the class folders are the labels
    0 … C − 1. All images have one size; they are grey if all of them are, else RGB.
    """

    title: ClassVar[str] = "Images from a folder for each class"

    folder: Folder = field(default_factory=partial(first_name, IMAGES))
    """The name of the data set's folder."""

    separate_test: ClassVar[bool] = False  # without a test part, the seed draws one

    @cached_property
    def _files(self) -> FolderImages:  # type: ignore[override], found once
        return folder_images(self.folder)
