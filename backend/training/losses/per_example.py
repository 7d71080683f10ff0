"""`PerExampleLoss`: a loss that is a mean over examples, from one function."""

from abc import abstractmethod

from torch import Tensor, nn

from backend.training.datasets import Dataset
from backend.training.evaluation import evaluation
from backend.training.losses.contract import Batch, Loss, Plan
from estimators.core.objective import Chain, Losses


class PerExampleLoss(Loss):
    """Base of losses L = 1/B Σ_n ℓ(f(x_n), y_n): a frozen dataclass with the method `losses`.

    The objective and the evaluation follow from it: the loss on the parts of the data, and the
    accuracy where the outputs are class scores.
    """

    @abstractmethod
    def losses(self, outputs: Tensor, y: Tensor, /) -> Tensor:
        """The loss of each example, (B,), of the network's outputs (B, ...) and the targets (B,).

        Example n's loss depends on outputs[n] and y[n] alone.
        """

    def losses_on(self, dataset: Dataset) -> Losses:
        """The losses on a data set: `losses`, whatever it is."""
        return self.losses

    def chain(self, module: nn.Module, batch: Batch, dataset: Dataset) -> Chain:
        return Chain(module, *batch, self.losses_on(dataset))

    def evaluation(self, module: nn.Module, dataset: Dataset, plan: Plan) -> evaluation.Evaluation:
        return evaluation.Evaluation(
            module,
            plan.split,
            plan.steps,
            plan.batch_size,
            self.losses_on(dataset),
            classified=dataset.classified,
        )
