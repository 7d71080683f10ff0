"""`ShownExamples`: what the network predicts of a few validation examples, as the run goes on."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from backend.training.datasets.contract import Dataset
from backend.training.evaluation.batch_norm import evaluating
from backend.training.examples.part import Split

PREDICTION = "validation/prediction/"
"""What the metric of an example begins with; its number among the validation examples follows."""


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
