"""A network trained on views: its loss, how often it finds the other view, a linear readout."""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from backend.training.datasets import Part, Split
from backend.training.evaluation.batch_norm import evaluating
from backend.training.evaluation.evaluation import CHUNK, affordable, due, interval
from backend.training.evaluation.readout import readout, watching
from estimators.core.info_nce import InfoNCE
from estimators.core.noise import stream

FREE = (1024, 512)  # examples of training and validation that may always be looked at
BATCHES = 4  # of the training's size, of each part, whose loss is looked at

Views = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]


class OfRun(Protocol):
    """What is to be known of a run."""

    @property
    def split(self) -> Split: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def seed(self) -> int: ...


class Contrastive:
    """Judges the module at its present weights. Views are drawn once, so that curves compare.

    The loss depends on how many keys there are: it is that of batches of the training's size.
    Readouts are fitted on examples as they are, not on views, and chosen on validation; the test
    part is looked at once, at the end.
    """

    def __init__(
        self, module: nn.Module, of: OfRun, classes: int, loss: InfoNCE, views: Views
    ) -> None:
        self.every = interval(of.steps)
        cheap = affordable(0, self.every, of.batch_size)
        split = of.split
        self._module, self._split, self._classes, self._loss = module, split, classes, loss
        self._train, self._validation = (
            Part(part.x[: max(free, cheap)], part.y[: max(free, cheap)])
            for part, free in zip((split.train, split.validation), FREE, strict=True)
        )
        self._size = of.batch_size
        self._views = {
            name: self._batches(part, views, stream(of.seed, "augment", name, device=part.x.device))
            for name, part in vars(split).items()
        }

    def due(self, step: int) -> bool:
        """Whether to look `along` before this step: early on, once a readout is affordable."""
        return due(step, self.every, first=8 * FREE[0] // self._size)

    def along(self, step: int) -> Iterator[tuple[str, Tensor]]:
        """`validation/loss`; of training and validation, `own_view` and `readout_accuracy`."""
        loss, found = self._contrast("validation")
        yield "validation/loss", loss
        yield "validation/own_view", found
        yield "train/own_view", self._contrast("train")[1]
        most = affordable(step, self.every, self._size)
        train, validation = (
            self._features(Part(part.x[: max(free, most)], part.y[: max(free, most)]))
            for part, free in zip((self._train, self._validation), FREE, strict=True)
        )
        fitted = readout(train, validation, self._classes)
        yield "train/readout_accuracy", fitted.accuracy(train)
        yield "validation/readout_accuracy", fitted.accuracy(validation)

    def last(self) -> Iterator[tuple[str, Tensor]]:
        """The same of the test part, whose readout is fitted on the whole training part."""
        loss, found = self._contrast("test")
        yield "test/loss", loss
        yield "test/own_view", found
        train, validation, test = map(self._features, vars(self._split).values())
        yield "test/readout_accuracy", readout(train, validation, self._classes).accuracy(test)

    def _batches(self, part: Part, views: Views, rng: Generator) -> list[Tensor]:
        """Two views each of batches of the training's size, or of what there is."""
        size = min(self._size, len(part.y))
        count = min(BATCHES, len(part.y) // size)
        taken = (t[: count * size].split(size) for t in part)
        return [views(x, y, rng)[0] for x, y in zip(*taken, strict=True)]

    @torch.no_grad()
    def _contrast(self, name: str) -> tuple[Tensor, Tensor]:
        """The mean loss, and the fraction that finds its other view."""
        with evaluating(self._module):
            outputs = self._module(torch.cat(self._views[name])).split(len(self._views[name][0]))
        nobody = self._views[name][0].new_zeros(len(outputs[0]), dtype=torch.int64)
        losses = torch.stack([self._loss(z, nobody) for z in outputs])
        return losses.mean(), torch.stack([self._loss.hits(z) for z in outputs]).mean()

    @torch.no_grad()
    def _features(self, part: Part) -> Part:
        with evaluating(self._module), watching(self._module) as kept:
            for x in part.x.split(CHUNK):
                self._module(x)
        return Part(torch.cat(kept), part.y)
