"""The cross-entropy of classes."""

from dataclasses import dataclass

from torch import Tensor

from backend.training.datasets import Dataset
from backend.training.losses.per_example import PerExampleLoss
from estimators.core.objective import Losses, cross_entropy


@dataclass(frozen=True)
class CrossEntropy(PerExampleLoss):
    """Cross-entropy: −log softmax of the outputs at the example's class.

    On a surface, its height is the loss instead.
    """

    title = "Cross-entropy"

    def losses(self, outputs: Tensor, y: Tensor, /) -> Tensor:
        return cross_entropy(outputs, y)

    def losses_on(self, dataset: Dataset) -> Losses:
        return dataset.losses
