"""Images in Parquet files of the lab's data folder."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from backend.training.datasets.contract import Dataset, Part, Split, interleaved
from backend.training.examples.pixels import Pixels, normalising
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
        decode = normalising(train[0]) if self.normalise == "channel" else Pixels()
        parts = (train, validation, stored["test"])
        return Split(*(Part(x, y, decode) for x, y in parts))

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
