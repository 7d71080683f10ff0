"""`ImageSet`: what all data sets of stored images share, whatever files they come from."""

from abc import abstractmethod
from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar, Literal

import torch

from backend.data_folders.folders import DataError
from backend.sentences import wrong
from backend.training.datasets.contract import Dataset, Split, interleaved
from backend.training.examples.augmentation import Augmentation, Margin
from backend.training.examples.file_part import FilePart
from backend.training.examples.pixels import Pixels, normalising
from backend.training.examples.room import Room, Storage
from backend.training.image_files.cache import images
from backend.training.image_files.source import ImageSource
from estimators.core.bounds import Ge, Gt, Le, Lt, Unit


@dataclass(frozen=True)
class ImageSet(Dataset):
    """Base of data sets of images, whose training files give training and validation part.

    Without test files they give the test part as well, drawn by the seed.
    """

    folder: str = ""
    """The name of the data set's folder."""
    training: Annotated[int, Ge(1), Unit("examples")] | None = None
    """Train on so many examples alone, with each class in the same proportion. Empty: on all."""
    normalise: Literal["channel", "none"] = "channel"
    """channel: subtract the mean of each channel over the training part and divide by its standard
    deviation. none: pixels in [0, 1]."""
    validation: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Share of the training files for the validation part, drawn by the seed; and again for the
    test part, if there are no test files."""
    shift: Annotated[int, Ge(0), Le(1024), Unit("pixels")] = 0
    """Augmentation: shift each training image by up to so many pixels along each side. It is the
    same as padding by so many and cropping at random (He et al. 2016 take 4 on CIFAR)."""
    margin: Margin = "zeros"
    """What fills the margin of a shifted image: 0 (the mean, if normalised), or its own pixels
    mirrored at the edge."""
    flip: bool = False
    """Augmentation: mirror each training image left to right with probability ½. A mirrored digit
    is no longer a digit."""
    cutout: Annotated[int, Ge(0), Le(1024), Unit("pixels")] = 0
    """Augmentation: set a square of so many pixels, at a random position inside each training
    image, to 0 (DeVries and Taylor 2017)."""
    storage: Storage = "auto"
    """Where the pixels lie during a run. memory: on its device, one byte each. streamed: in a file,
    read batch by batch. auto: in memory if they take less than 40 % of what is free. The numbers
    of a run do not depend on it."""

    separate_test: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.folder:
            self._files  # noqa: B018, raises what is wrong with the folder
        if self.folder and self._available < 1:
            raise DataError(
                f"a validation share of {self.validation:g} leaves none of the "
                f"{self._files.counts['train']:,} images of {self.folder} to train on"
            )
        if self.training is not None and self.training > self._available:
            raise DataError(
                f"training is {self.training:,}; {self.folder} has {self._available:,} examples to "
                f"train on beside a validation share of {self.validation:g}"
            )
        for name, margin in (("shift", 1), ("cutout", 0)):
            value = getattr(self, name)
            if value and value > (most := min(self.shape[1:]) - margin):
                size = "×".join(map(str, self.shape[1:]))
                raise DataError(wrong(name, value, f"at most {most} of images of {size}"))

    @property
    @abstractmethod
    def _files(self) -> ImageSource:
        """The images of the folder."""

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override], the files decide
        return self._files.shape

    @property
    def classes(self) -> int:  # type: ignore[override]
        return self._files.classes

    @property
    def description(self) -> str:
        files = self._files
        size = "×".join(map(str, files.shape))
        train, test = self._available + self._held_back, self._test_count
        return (
            f"{train:,} training and {test:,} test images of {size} pixels in {files.classes} "
            f"classes, from {self.folder}; {self.training_examples:,} to train on."
        )

    @property
    def training_examples(self) -> int:
        return self.training or self._available

    @property
    def augment(self) -> Augmentation | None:
        changes = Augmentation(self.shift, self.flip, self.cutout, margin=self.margin)
        return changes if self.shift or self.flip or self.cutout else None

    def bytes_on(self, device: torch.device | str) -> int:
        labels = 8 * sum(self._files.counts.values())
        return labels + (self._room.size if self._room.suffices(device) else 0)

    def load(self, seed: int) -> Split:
        """The three parts; the test files are the test part. Raises DataError.

        Raises:
            DataError: for an image that cannot be decoded or has another size than the first; the
                sentence names its row.
        """
        stored = images(self._files)
        (x, y), (test_x, test_y) = stored["train"], stored["test"]
        order = interleaved(y, seed)  # so that every beginning has all classes in proportion
        held_back, room = self._held_back, self._room
        start = held_back * (2 if self._test_drawn else 1)
        train = order[start : start + self.training_examples]
        decode = normalising(x, train) if self.normalise == "channel" else Pixels()
        test = FilePart(test_x, test_y, torch.arange(len(test_y)), decode, room)
        if self._test_drawn:
            test = FilePart(x, y, order[held_back : 2 * held_back], decode, room)
        return Split(
            FilePart(x, y, train, decode, room),
            FilePart(x, y, order[:held_back], decode, room),
            test,
        )

    @property
    def _room(self) -> Room:
        examples = self.training_examples + self._held_back + self._test_count
        return Room(examples * prod(self.shape), self.storage)

    @property
    def _held_back(self) -> int:
        """Examples of the validation part, at least one."""
        return max(1, round(self.validation * self._files.counts["train"]))

    @property
    def _available(self) -> int:
        return self._files.counts["train"] - self._held_back * (2 if self._test_drawn else 1)

    @property
    def _test_drawn(self) -> bool:
        """Whether the test part is drawn from the training files: as many as for validation."""
        return not self._files.counts["test"]

    @property
    def _test_count(self) -> int:
        return self._held_back if self._test_drawn else self._files.counts["test"]
