"""Images in Parquet files of the lab's data folder."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from backend.training.datasets.contract import Dataset, Part, Split, interleaved
from backend.training.image_files.cache import images
from backend.training.image_files.folders import DataError, names
from backend.training.image_files.parquet import ImageFiles, image_files
from estimators.core.bounds import Ge, Gt, Lt, Unit


def _usable(folder: str) -> str:
    image_files(folder)
    return folder


def _offer_names(schema: dict[str, Any]) -> None:
    """Let the form offer the data sets that there are."""
    if found := names():
        schema["enum"] = found


def _first_name() -> str:
    return next(iter(names()), "")


Folder = Annotated[
    str,
    AfterValidator(_usable),
    Field(validate_default=True, max_length=100, json_schema_extra=_offer_names),
]


@dataclass(frozen=True)
class ParquetImages(Dataset):
    """Images in Parquet files laid out as on the Hugging Face hub, such as CIFAR-10 or MNIST.

    A data set is a folder of HOME/datasets, or of the folder that GRADLAB_DATA names, with files
    train-*.parquet and test-*.parquet. Their columns are image or img, and label.
    """

    title: ClassVar[str] = "Images from Parquet files"

    folder: Folder = field(default_factory=_first_name)
    """The name of the data set's folder."""
    training: Annotated[int, Ge(1), Unit("examples")] | None = None
    """Train on so many examples alone, with each class in the same proportion. Empty: on all."""
    normalise: Literal["channel", "none"] = "channel"
    """channel: subtract the mean of each channel over the training part and divide by its standard
    deviation. none: pixels in [0, 1]."""
    validation: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Share of the training files for the validation part, drawn by the seed."""

    separate_test: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.training is not None and self.training > self._available:
            raise DataError(
                f"training is {self.training:,}; {self.folder} has {self._available:,} examples to "
                f"train on beside a validation share of {self.validation:g}"
            )

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
        train, test = (files.counts[part] for part in ("train", "test"))
        return (
            f"{train:,} training and {test:,} test images of {size} pixels in {files.classes} "
            f"classes, from {self.folder}; {self.training_examples:,} to train on."
        )

    @property
    def training_examples(self) -> int:
        return self.training or self._available

    def load(self, seed: int) -> Split:
        """The three parts; the test files are the test part. Raises DataError.

        Raises:
            DataError: for an image that cannot be decoded or has another size than the first; the
                sentence names its row.
        """
        stored = images(self._files)
        x, y = stored["train"]
        order = interleaved(y, seed)  # so that every beginning has all classes in proportion
        held_back = self._held_back
        places = order[held_back : held_back + self.training_examples], order[:held_back]
        train, validation = ((x[place], y[place]) for place in places)
        scaling = _scaling(train[0]) if self.normalise == "channel" else None
        parts = (train, validation, stored["test"])
        return Split(*(Part(_scaled(x, scaling), y) for x, y in parts))

    @property
    def _files(self) -> ImageFiles:
        return image_files(self.folder)

    @property
    def _held_back(self) -> int:
        """Examples of the validation part, at least one."""
        return max(1, round(self.validation * self._files.counts["train"]))

    @property
    def _available(self) -> int:
        return self._files.counts["train"] - self._held_back


def _scaling(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of uint8 images, in units of 255, (C, 1, 1).

    From counts of the 256 values, so that they are exact but for one rounding. A constant channel
    has 1 for its deviation.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([x[:, c].flatten().bincount(minlength=256) for c in range(x.shape[1])])
    shares = counts.double() / counts.sum(1, keepdim=True)  # (C, 256)
    mean = shares @ values
    deviation = (shares * (values - mean[:, None]).square()).sum(1).sqrt()
    deviation = torch.where(deviation > 0, deviation, 1.0)
    return mean.float().view(-1, 1, 1), deviation.float().view(-1, 1, 1)


def _scaled(x: Tensor, scaling: tuple[Tensor, Tensor] | None) -> Tensor:
    """uint8 images as float32, scaled in place: they are the largest thing in memory."""
    scaled = x.float().div_(255)
    return scaled if scaling is None else scaled.sub_(scaling[0]).div_(scaling[1])
