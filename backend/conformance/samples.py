"""Sample data sets for the checks of networks and losses: small, random, of usual shapes."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from backend.training.components.discovery import catalogue_name
from backend.training.datasets.contract import Dataset, Part, Split, stratified
from estimators.core.noise import stream

EXAMPLES = 60
"""Examples of a sample in its three parts together."""


@dataclass(frozen=True)
class Sample(Dataset):
    """Random examples of one shape with random classes."""

    kind: str = "points"
    """What the examples are, in words."""
    shape: tuple[int, ...] = (2,)  # type: ignore[misc], here it is a choice
    classes: int = 2  # type: ignore[misc]
    tokens: bool = False  # type: ignore[misc]

    separate_test: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The kind and the shape, in words."""
        noun = "tokens" if self.tokens else "numbers"
        return f"{self.kind} of {'×'.join(map(str, self.shape))} {noun}"

    @property
    def description(self) -> str:
        return f"{EXAMPLES} {self.name}, in {self.classes} classes."

    @property
    def training_examples(self) -> int:
        return len(self.load(0).train.y)

    def load(self, seed: int) -> Split:
        x, y = self.batch(EXAMPLES, seed)
        if not self.tokens:
            return stratified(x, y, seed)
        return Split(*(Part(x[part::5], y[part::5]) for part in range(3)))

    def batch(self, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Examples, (B, *shape), with the scale of pixels or normal, and their classes, (B,); of
        tokens both (B, T)."""
        rng = stream(seed, "data", self.name)
        if self.tokens:
            text = torch.randint(self.classes, (size, self.shape[0] + 1), generator=rng)
            return text[:, :-1].clone(), text[:, 1:].clone()
        x = torch.empty(size, *self.shape)
        x = x.uniform_(generator=rng) if self.is_image else x.normal_(generator=rng)
        y = torch.arange(size) % self.classes
        return x, y[torch.randperm(size, generator=rng)]

    @property
    def outputs(self) -> tuple[int, ...]:
        """The shape of a network's output for one example: scores, at each token if there are."""
        return (*self.shape, self.classes) if self.tokens else (self.classes,)

    @property
    def is_image(self) -> bool:
        """Whether the examples are (channels, height, width)."""
        return len(self.shape) == 3


SAMPLES = (
    Sample("images", (1, 8, 8), 10),
    Sample("images", (1, 28, 28), 10),
    Sample("images", (3, 32, 32), 10),
    Sample("points", (2,), 2),
    Sample("signals", (40,), 10),
    Sample("texts", (12,), 11, tokens=True),
)
"""As of digits, MNIST, CIFAR-10, two_moons, MNIST-1D and characters; each kind's smallest first."""


def samples_like(classes: Iterable[type[Dataset]]) -> Iterator[Sample]:
    """Samples of the shapes and classes of data sets at their defaults, with random numbers."""
    for cls in classes:
        with suppress(Exception):  # a broken data set is told of by its own check
            dataset = cls()
            if dataset.classified:
                name = catalogue_name(cls)
                yield Sample(name, dataset.shape, dataset.classes, dataset.tokens)
