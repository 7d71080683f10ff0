"""Images in a folder for each class, in the lab's data folder."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, ClassVar

from backend.data_folders.folders import IMAGES
from backend.training.datasets.data_folder import examined, first_name, folder_field
from backend.training.datasets.image_set import ImageSet
from backend.training.image_files.folder_images import FolderImages, folder_images

Folder = Annotated[str, examined(folder_images), folder_field(IMAGES)]


@dataclass(frozen=True)
class ImageFolder(ImageSet):
    """Images as PNG, JPEG, BMP or WebP files, in a folder for each class.

    A data set is a folder of HOME/datasets, or of the folder that GRADLAB_DATA names, with files
    train/CLASS/* and test/CLASS/*, or CLASS/*. The sorted names of the class folders are the labels
    0 … C − 1. All images have one size; they are grey if all of them are, else RGB.
    """

    title: ClassVar[str] = "Images from a folder for each class"

    folder: Folder = field(default_factory=first_name(IMAGES))
    """The name of the data set's folder."""

    separate_test: ClassVar[bool] = False  # without a test part, the seed draws one

    @cached_property
    def _files(self) -> FolderImages:  # type: ignore[override], found once
        return folder_images(self.folder)
