"""`Part` and `Split`: the examples of a data set as they are stored, and how they are read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

Device = torch.device | str


def examples_of(x: Any) -> Tensor:
    """Examples as a tensor; floats of numpy as float32. Raises TypeError for other types."""
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return _from_numpy(np.asarray(x, dtype=np.float32))
    return _tensor("x", x)


def classes_of(y: Any) -> Tensor:
    """Classes as a tensor; integers of numpy as int64. Raises TypeError for other types."""
    if isinstance(y, np.ndarray) and y.dtype.kind in "iu":
        return _from_numpy(np.asarray(y, dtype=np.int64))
    return _tensor("y", y)


def _tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    allowed = "a tensor or an array of numbers is allowed"
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is of the type {type(value).__name__}; {allowed}")
    if value.dtype.kind not in "biuf":
        raise TypeError(f"{name} is an array of the type {value.dtype}; {allowed}")
    return _from_numpy(value)


def _from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory where torch may write to it."""
    usable = array.flags.writeable and all(stride >= 0 for stride in array.strides)
    return torch.from_numpy(array if usable else array.copy())


class Decode(Protocol):
    """Turns stored examples into what a network reads, on their device and without a loop."""

    def __call__(self, stored: Tensor, /) -> Tensor:
        """(B, *stored shape) -> (B, *shape) float32."""
        ...

    def to(self, device: Device, /) -> "Decode":
        """The same on `device`."""
        ...


class Part:
    """Examples (N, *shape) and their classes (N,), int64, in an order that the seed fixes.

    Of tokens, both are (N, T) int64.

    `Part(x, y)` of float32 examples is all that a data set needs. Arrays of numpy become tensors:
    examples that are floats as float32, classes that are integers as int64. With `decode`, examples
    are stored in another form, such as uint8 pixels, and become float32 when they are read, so that
    only a batch of them is ever float32. A subclass may store them elsewhere.
    """

    streamed: ClassVar[bool] = False
    """Whether reading takes so long that `prefetch` helps."""

    def __init__(
        self, x: Tensor | np.ndarray, y: Tensor | np.ndarray, decode: Decode | None = None
    ) -> None:
        self.stored, self.y, self.decode = examples_of(x), classes_of(y), decode

    def __len__(self) -> int:
        """The number of examples N."""
        return len(self.y)

    @property
    def x(self) -> Tensor:
        """All examples as a network reads them, (N, *shape): large if they are decoded for it."""
        return self._decoded(self.stored)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example, as stored."""
        return tuple(self.stored.shape[1:])

    @property
    def device(self) -> torch.device:
        """Where examples are when they are read."""
        return self.y.device

    @property
    def index_device(self) -> torch.device:
        """Where the index of `take` has to be."""
        return self.y.device

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The examples (B, *shape) and classes (B,) at `index`, (B,) int64 on `index_device`."""
        x = self.stored.index_select(0, index)
        if self.decode is not None:
            x = self.decode(x)
        return x, self.y.index_select(0, index)

    def prefetch(self, index: Tensor) -> None:
        """A hint that the next `take` is of `index`; nothing to do where all is in memory."""

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples and classes in order, `size` at a time."""
        for stored, y in zip(self.stored.split(size), self.y.split(size), strict=True):
            yield self._decoded(stored), y

    def slice(self, start: int, stop: int) -> "Part":
        """The examples from `start` to before `stop`, without a copy."""
        return Part(self.stored[start:stop], self.y[start:stop], self.decode)

    def first(self, count: int) -> "Part":
        """The first `count` examples, or all if there are fewer."""
        return self.slice(0, count)

    def then(self, other: "Part") -> "Part":
        """These examples and those of `other`, which is stored and decoded in the same way."""
        stored = torch.cat([self.stored, other.stored])
        return Part(stored, torch.cat([self.y, other.y]), self.decode)

    def to(self, device: Device) -> "Part":
        """The same on `device`."""
        decode = None if self.decode is None else self.decode.to(device)
        return Part(self.stored.to(device), self.y.to(device), decode)

    def _decoded(self, stored: Tensor) -> Tensor:
        return stored if self.decode is None else self.decode(stored)


@dataclass(frozen=True)
class Split:
    """The three parts: tune learning rates on `validation`, report results on `test`."""

    train: Part
    validation: Part
    test: Part

    def __post_init__(self) -> None:
        for name, part in vars(self).items():
            if not isinstance(part, Part):
                raise TypeError(
                    f"the {name} part is of the type {type(part).__name__}; a Part is allowed, "
                    "such as Part(x, y)"
                )

    def to(self, device: Device) -> "Split":
        """The same on `device`."""
        return Split(self.train.to(device), self.validation.to(device), self.test.to(device))
