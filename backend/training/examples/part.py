"""`Part` and `Split`: the examples of a data set as they are stored, and how they are read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

Device = torch.device | str


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

    `Part(x, y)` of float32 examples is all that a data set needs. With `decode`, examples are
    stored in another form, such as uint8 pixels, and become float32 when they are read, so that
    only a batch of them is ever float32. A subclass may store them elsewhere.
    """

    streamed: ClassVar[bool] = False
    """Whether reading takes so long that `prefetch` helps."""

    def __init__(self, x: Tensor, y: Tensor, decode: Decode | None = None) -> None:
        self.stored, self.y, self.decode = x, y, decode

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

    def to(self, device: Device) -> "Split":
        """The same on `device`."""
        return Split(self.train.to(device), self.validation.to(device), self.test.to(device))
