"""Loss and accuracy on parts of the data, at steps that depend on the run's length alone."""

from collections.abc import Iterator, Sequence
from math import log, prod

import torch
from torch import Tensor, nn

from backend.training.datasets import Dataset, Part, Split
from backend.training.evaluation.batch_norm import evaluating
from estimators.core.objective import Losses, cross_entropy

CHUNK = 4096  # examples in one forward pass, to bound its memory
CPU_NUMBERS = 2**18  # of input in one forward pass on a CPU, whose caches hold the activations then
TOKEN_NUMBERS = 64  # that stand for a token: a network puts a vector in its place
EXAMPLE_NUMBERS = 2**12  # of input for which CHUNK is meant
MIN_EXAMPLES = (128, 512)  # of training and validation that are always evaluated
PREDICTION = "validation/prediction/"
"""What the metric of an example begins with; its number among the validation examples follows."""
MIN_EVALUATIONS = 50  # over a run, if it has that many steps


def interval(steps: int) -> int:
    """The power of two at whose multiples to evaluate, which gives 50 to 100 evaluations."""
    return 1 << max(0, (steps // MIN_EVALUATIONS).bit_length() - 1)


def due(step: int, every: int, first: int = 1) -> bool:
    """Whether to evaluate at a step: at multiples of `every`, and before them at powers of two
    from `first` on, so that a long run soon has its second point."""
    return step % every == 0 or (first <= step < every and step & (step - 1) == 0)


def affordable(step: int, every: int, batch_size: int) -> int:
    """Examples of a part to evaluate at `step`: about a tenth of the training's cost so far.

    All steps before `every` together take no more than `every` itself.
    """
    return (every if step % every == 0 or step > every else step) * batch_size // 8


def examples_at_once(shape: Sequence[int], device_type: str, tokens: bool = False) -> int:
    """Examples of a shape in one forward pass: on a CPU no more than its caches hold.

    Residual networks on 32×32 images take a third of the time that 640 of them at once do.
    """
    numbers = max(1, prod(shape) * (TOKEN_NUMBERS if tokens else 1))
    most = CPU_NUMBERS // numbers
    if device_type != "cpu":
        most = CHUNK * EXAMPLE_NUMBERS // numbers if tokens else CHUNK
    return max(1, min(CHUNK, most))


class Evaluation:
    """Loss and accuracy of the module at its present weights.

    During the run it takes a fixed sample of each part, whose size keeps the cost below about a
    tenth of the training's; early steps take the beginning of that sample. At the end of the run
    it takes the whole test part.
    """

    def __init__(
        self,
        module: nn.Module,
        split: Split,
        steps: int,
        batch_size: int,
        losses: Losses = cross_entropy,
        *,
        classified: bool = True,
    ) -> None:
        self.every, self._batch_size = interval(steps), batch_size
        cheap = affordable(0, self.every, batch_size)
        self._module, self._test = module, split.test
        self._losses, self._classified = losses, classified
        parts = zip((split.train, split.validation), MIN_EXAMPLES, strict=True)
        train, validation = (part.first(max(free, cheap)) for part, free in parts)
        self._train, self._both = len(train), train.then(validation)

    def due(self, step: int) -> bool:
        """Whether to evaluate before this step."""
        return due(step, self.every)

    def along(self, step: int) -> Iterator[tuple[str, Tensor]]:
        """`validation/loss`, the accuracy of both parts if there is one, and of tokens the bits of
        both, on the device."""
        train, part = self._sample(step)
        losses, hits = self._examine(part)
        yield "validation/loss", losses[train:].mean()
        if self._classified:
            yield "train/accuracy", hits[:train].mean()
            yield "validation/accuracy", hits[train:].mean()
        if self._of_tokens:
            yield "train/bits_per_token", losses[:train].mean() / log(2)
            yield "validation/bits_per_token", losses[train:].mean() / log(2)

    def _sample(self, step: int) -> tuple[int, Part]:
        """The number of training examples, and these with the validation examples after them."""
        most, count = affordable(step, self.every, self._batch_size), self._train
        train, validation = (max(free, most) for free in MIN_EXAMPLES)
        if train >= count and count + validation >= len(self._both):
            return count, self._both
        train, later = min(train, count), self._both.slice(count, count + validation)
        return train, self._both.first(train).then(later)

    def last(self) -> Iterator[tuple[str, Tensor]]:
        """`test/loss`, `test/accuracy` if there is one, and of tokens `test/bits_per_token`."""
        losses, hits = self._examine(self._test)
        yield "test/loss", losses.mean()
        if self._classified:
            yield "test/accuracy", hits.mean()
        if self._of_tokens:
            yield "test/bits_per_token", losses.mean() / log(2)

    @property
    def _of_tokens(self) -> bool:
        """Whether an example has a class for each of its positions."""
        return self._test.y.ndim > 1

    @torch.no_grad()
    def _examine(self, part: Part) -> tuple[Tensor, Tensor]:
        """The loss of each example, and the share of its positions that are classified correctly:
        1 or 0 where it has one class."""
        losses, hits = [], []
        count = examples_at_once(part.shape, part.device.type, self._of_tokens)
        with evaluating(self._module):
            for x, y in part.chunks(count):
                output = self._module(x)
                losses.append(self._losses(output, y))
                hits.append((output.argmax(-1) == y).view(len(y), -1).float().mean(1))
        return torch.cat(losses), torch.cat(hits)


class ShownExamples:
    """The first `count` validation examples; none where an example has no single class."""

    def __init__(self, module: nn.Module, dataset: Dataset, split: Split, count: int) -> None:
        self._module = module
        has_class = dataset.classified and not dataset.tokens
        self._examples = split.validation.first(count) if has_class and count else None

    @torch.no_grad()
    def predictions(self) -> Iterator[tuple[str, Tensor]]:
        """(metric, class) of each example at the present weights, on the device."""
        if self._examples is None:
            return
        with evaluating(self._module):
            classes = self._module(self._examples.x).argmax(-1)  # (count,)
        for place, predicted in enumerate(classes):
            yield f"{PREDICTION}{place}", predicted
