"""The contract of a data set: training, validation and test part, fixed by the seed."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from torch import Generator, Tensor

from backend.data_folders.folders import DataError
from backend.training.components.discovery import Configurable, catalogue_name
from backend.training.examples.part import Part, Split, classes_of, examples_of
from estimators.core.noise import stream
from estimators.core.objective import Losses, cross_entropy
from estimators.core.token_loss import token_cross_entropy

Augment = Callable[[Tensor, Generator], Tensor]
"""(examples (B, *shape), random generator) -> changed examples, as many and of the same shape."""
ALL_PARTS = 2.0
"""At least the examples of a data set over those to train on."""


class Dataset(Configurable, ABC):
    """Base of data sets: a frozen dataclass whose fields choose among variants."""

    shape: ClassVar[tuple[int, ...]]
    """The shape of one example, without the batch axis."""
    classes: ClassVar[int]
    """The number of classes, which is the number of outputs of a network."""
    classified: ClassVar[bool] = True
    """Whether the outputs are class scores, so that there is an accuracy."""
    tokens: ClassVar[bool] = False
    """Whether an example is T token indices, int64, with a class for each: x and y are (N, T),
    `classes` is the size of the vocabulary, and a network puts out (B, T, classes)."""
    own_network: ClassVar[str] = ""
    """The catalogue name of the network that is made for this data set; empty: any will do."""
    separate_test: ClassVar[bool] = False
    """Whether no example of the test part is in another part with any other seed."""

    def placeholder(self, count: int) -> tuple[Tensor, Tensor]:
        """Examples and targets of the right shapes and types, without numbers."""
        if self.tokens:
            return torch.empty(2, count, *self.shape, dtype=torch.int64).unbind()  # type: ignore[return-value]
        return torch.empty(count, *self.shape), torch.empty(count, dtype=torch.int64)

    @property
    def losses(self) -> Losses:
        """The loss of each example as a function of outputs and targets."""
        return token_cross_entropy if self.tokens else cross_entropy

    @property
    @abstractmethod
    def description(self) -> str:
        """What the data set is and where it comes from, in one sentence."""

    @property
    @abstractmethod
    def training_examples(self) -> int:
        """The number of training examples, known without loading."""

    @property
    def augment(self) -> Augment | None:
        """Random changes of training examples that keep their class, or None.

        Drawn with each batch of a run, on its device; parts are evaluated without them.
        """
        return None

    def bytes_on(self, device: torch.device | str) -> int:
        """Bytes that the parts take on a device during a run, at most."""
        with torch.device("meta"):
            example = sum(t.nbytes for t in self.placeholder(1))
        return int(ALL_PARTS * self.training_examples * example) * 2

    @abstractmethod
    def load(self, seed: int) -> Split:
        """The three parts that belong to `seed`."""


def load_checked(dataset: Dataset, seed: int, *, uses_classes: bool = True) -> Split:
    """The parts that belong to `seed`, with labels and numbers that a run can use.

    Raises DataError that names the data set for a label that is no class, for an example of the
    training part with a number that is not finite, and, where the loss `uses_classes`, for training
    examples that all have one class.
    """
    split = dataset.load(seed)
    name = catalogue_name(type(dataset))
    if dataset.classified and uses_classes:
        _refuse_one_class(name, split.train.y)
    labelled = dataset.classified and not dataset.tokens
    for part in (split.train, split.validation, split.test) if labelled else ():
        low, high = (int(end) for end in part.y.aminmax()) if len(part) else (0, 0)
        if low < 0 or high >= dataset.classes:
            raise DataError(
                f"{name} has labels from {low} to {high}; with {dataset.classes} classes, "
                f"0 to {dataset.classes - 1} are allowed"
            )
    stored = split.train.stored
    if stored.is_floating_point() and not (finite := stored.flatten(1).isfinite().all(1)).all():
        first = int((~finite).nonzero()[0])
        raise DataError(
            f"{int((~finite).sum()):,} of {len(finite):,} training examples of {name} have a "
            f"number that is not finite, first the example {first}: leave them out or fill the gaps"
        )
    return split


def _refuse_one_class(name: str, y: Tensor) -> None:
    """Raise DataError unless the training labels are of two classes at least: with one, every
    network that puts out this class alone has a loss of 0."""
    low, high = (int(end) for end in y.aminmax()) if y.numel() else (0, 0)
    if y.numel() and low == high:
        raise DataError(
            f"all {len(y):,} training examples of {name} have the label {low}; training needs "
            "examples of two classes at least"
        )


def stratified(
    x: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    seed: int,
    validation: float = 0.2,
    test: float = 0.2,
) -> Split:
    """Split (x, y) at random; every part has each class in the same proportion.

    Args:
        x: Examples (N, *shape).
        y: Their classes (N,). Arrays of numpy become tensors as in `Part`.
        seed: Decides the parts.
        validation: Share of the examples in the validation part.
        test: Share of the examples in the test part.

    Raises:
        TypeError, ValueError: for what is no tensor or array, for lengths that differ, and for
            shares that leave nothing to train on.
    """
    x, y = examples_of(x), classes_of(y)
    if y.ndim != 1 or len(x) != len(y):
        raise ValueError(
            f"x has the shape {tuple(x.shape)} and y {tuple(y.shape)}; stratified takes examples "
            "(N, *shape) and classes (N,)"
        )
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ValueError(
            f"validation is {validation!r} and test is {test!r}; shares from 0 on with a sum "
            "below 1 are allowed"
        )
    order, place = _places(y, seed)
    bounds = torch.tensor([test, test + validation])
    part = torch.bucketize(place, bounds, right=True)  # 0 test, 1 validation, 2 train
    test_part, validation_part, train_part = (
        Part(x[order[part == p]], y[order[part == p]]) for p in range(3)
    )
    return Split(train_part, validation_part, test_part)


def interleaved(y: Tensor, seed: int) -> Tensor:
    """A random order of examples (N,) in which every beginning has each class in proportion."""
    order, place = _places(y, seed)
    return order[place.argsort(stable=True)]


def _places(y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """A random order of the examples, and the place in [0, 1) of each within its class."""
    order = torch.randperm(len(y), generator=stream(seed, "data", "split"))
    place = torch.empty(len(y))
    for label in y.unique():
        members = (y[order] == label).nonzero().squeeze(1)
        place[members] = torch.arange(len(members)) / len(members)
    return order, place
