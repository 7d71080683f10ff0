"""The cross-entropy of classes."""

from dataclasses import dataclass

from torch import nn

from backend.training.datasets import Dataset
from backend.training.evaluation import evaluation
from backend.training.losses.contract import Batch, Loss, Plan
from estimators.core.objective import Chain


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy: −log softmax of the outputs at the example's class.

    On a surface, its height is the loss instead.
    """

    title = "Cross-entropy"

    def chain(self, module: nn.Module, batch: Batch, dataset: Dataset) -> Chain:
        return Chain(module, *batch, dataset.losses)

    def evaluation(self, module: nn.Module, dataset: Dataset, plan: Plan) -> evaluation.Evaluation:
        return evaluation.Evaluation(
            module,
            plan.split,
            plan.steps,
            plan.batch_size,
            dataset.losses,
            classified=dataset.classified,
        )
