"""`ImageSource`: what the cache and the data sets need to know of a folder of images."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

PARTS: tuple[str, ...] = ("train", "test")


class ImageSource(Protocol):
    """The images of a folder, with what is known of them without decoding."""

    @property
    def name(self) -> str:
        """The name of the folder."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width, the same for all images."""
        ...

    @property
    def classes(self) -> int:
        """The number of classes C; labels are 0 … C − 1."""
        ...

    @property
    def counts(self) -> dict[str, int]:
        """Images in each part."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes with any of the files."""
        ...

    def labels(self, part: str) -> np.ndarray:
        """The labels of a part, (N,) int64."""
        ...

    def images(self, part: str) -> Iterator[np.ndarray]:
        """The images of a part in order, (C, H, W) uint8 each. Raises DataError."""
        ...
