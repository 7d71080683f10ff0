"""`ArraySet`: what data sets from arrays and tables of the data folder share."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from backend.training.datasets.contract import Dataset, Split, interleaved
from backend.training.examples.part import Part
from backend.training.tables.arrays import Arrays, standardised
from estimators.core.bounds import Gt, Lt


@dataclass(frozen=True)
class ArraySet(Dataset):
    """Base of data sets of arrays; without a test part of its own, one is drawn by the seed."""

    folder: str = ""
    """The name of the data set's folder."""
    normalise: Literal["feature", "none"] = "feature"
    """feature: subtract each number's mean over the training part and divide by its standard
    deviation. none: as stored; images of bytes are divided by 255."""
    validation: Annotated[float, Gt(0), Lt(0.5)] = 0.1
    """Share of the training examples for the validation part, drawn by the seed; and again for the
    test part, if the files have none."""

    @property
    @abstractmethod
    def _arrays(self) -> Arrays:
        """What the files hold."""

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override], the files decide
        shape = self._arrays.shape
        return (1, *shape) if len(shape) == 2 else shape or (1,)

    @property
    def classes(self) -> int:  # type: ignore[override]
        return self._arrays.classes

    @property
    def description(self) -> str:
        size = "×".join(map(str, self.shape))
        return (
            f"{self.training_examples:,} training examples of {size} numbers in {self.classes} "
            f"classes, from {self.folder}."
        )

    @property
    def training_examples(self) -> int:
        parts = self._arrays.parts
        return len(parts["train"][1]) - self._held_back * (1 if "test" in parts else 2)

    @property
    def _held_back(self) -> int:
        return max(1, round(self.validation * len(self._arrays.parts["train"][1])))

    def load(self, seed: int) -> Split:
        """The three parts; a test part of the files is the test part."""
        parts, count = self._arrays.parts, self._held_back
        whole = self._part("train")
        order = interleaved(whole.y, seed)
        drawn = Part(whole.x[order], whole.y[order])
        if "test" in parts:
            split = Split(drawn.slice(count, len(drawn)), drawn.first(count), self._part("test"))
        else:
            rest = drawn.slice(2 * count, len(drawn))
            split = Split(rest, drawn.first(count), drawn.slice(count, 2 * count))
        return standardised(split) if self.normalise == "feature" else split

    def _part(self, name: str) -> Part:
        x, y = self._arrays.parts[name]
        values = torch.tensor(x).float().reshape(len(y), *self.shape)
        if x.dtype == "uint8":
            values /= 255
        return Part(values, torch.tensor(y))
