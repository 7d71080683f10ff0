"""Evaluation of a network trained on two views: loss, view retrieval, and a linear readout."""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from backend.training.datasets import Part, Split
from backend.training.evaluation.batch_norm import evaluating
from backend.training.evaluation.evaluation import affordable, due, examples_at_once, interval
from backend.training.evaluation.readout import readout, watching
from estimators.core.info_nce import InfoNCE
from estimators.core.noise import stream

MIN_EXAMPLES = (1024, 512)  # of training and validation that are always evaluated
BATCHES = 4  # batches of the training's size whose loss is evaluated, of each part

Views = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]


class RunPlan(Protocol):
    """What the evaluation needs to know of a run."""

    @property
    def split(self) -> Split: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def seed(self) -> int: ...


class Contrastive:
    """Evaluates the module at its present weights; the views are drawn once, to compare curves.

    The loss depends on the number of keys, so it is taken on batches of the training's size.
    Readouts are fitted on the examples themselves, not on views, and selected on the validation
    part; the test part is evaluated once, at the end.
    """

    def __init__(
        self, module: nn.Module, run: RunPlan, classes: int, loss: InfoNCE, views: Views
    ) -> None:
        self.every = interval(run.steps)
        cheap = affordable(0, self.every, run.batch_size)
        split = run.split
        self._module, self._split, self._classes, self._loss = module, split, classes, loss
        self._train, self._validation = (
            part.first(max(free, cheap))
            for part, free in zip((split.train, split.validation), MIN_EXAMPLES, strict=True)
        )
        self._size = run.batch_size
        self._views = {
            name: self._batches(part, views, stream(run.seed, "augment", name, device=part.device))
            for name, part in vars(split).items()
        }

    def due(self, step: int) -> bool:
        """Whether to evaluate before this step: early in the run, once a readout is affordable."""
        return due(step, self.every, first=8 * MIN_EXAMPLES[0] // self._size)

    def along(self, step: int) -> Iterator[tuple[str, Tensor]]:
        """`validation/loss`, and `own_view` and `readout_accuracy` of training and validation."""
        loss, retrieved = self._contrast("validation")
        yield "validation/loss", loss
        yield "validation/own_view", retrieved
        yield "train/own_view", self._contrast("train")[1]
        most = affordable(step, self.every, self._size)
        train, validation = (
            self._features(part.first(max(free, most)))
            for part, free in zip((self._train, self._validation), MIN_EXAMPLES, strict=True)
        )
        fitted = readout(train, validation, self._classes)
        yield "train/readout_accuracy", fitted.accuracy(train)
        yield "validation/readout_accuracy", fitted.accuracy(validation)

    def last(self) -> Iterator[tuple[str, Tensor]]:
        """The same of the test part; its readout is fitted on all training examples."""
        loss, retrieved = self._contrast("test")
        yield "test/loss", loss
        yield "test/own_view", retrieved
        train, validation, test = map(self._features, vars(self._split).values())
        yield "test/readout_accuracy", readout(train, validation, self._classes).accuracy(test)

    def _batches(self, part: Part, views: Views, rng: Generator) -> list[Tensor]:
        """Two views of each batch of the training's size, or of all examples if there are fewer."""
        size = min(self._size, len(part))
        count = min(BATCHES, len(part) // size)
        return [views(x, y, rng)[0] for x, y in part.first(count * size).chunks(size)]

    @torch.no_grad()
    def _contrast(self, name: str) -> tuple[Tensor, Tensor]:
        """The mean loss, and the fraction of views whose nearest key is their other view."""
        with evaluating(self._module):
            outputs = self._module(torch.cat(self._views[name])).split(len(self._views[name][0]))
        no_classes = self._views[name][0].new_zeros(len(outputs[0]), dtype=torch.int64)
        losses = torch.stack([self._loss(z, no_classes) for z in outputs])
        return losses.mean(), torch.stack([self._loss.hits(z) for z in outputs]).mean()

    @torch.no_grad()
    def _features(self, part: Part) -> Part:
        with evaluating(self._module), watching(self._module) as kept:
            for x, _ in part.chunks(examples_at_once(part.shape, part.device.type)):
                self._module(x)
        return Part(torch.cat(kept), part.y)
