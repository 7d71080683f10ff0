"""The contract of a loss: the network's outputs, the preparation of a batch, the evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple, Protocol

from torch import Generator, Tensor, nn

from backend.training.components.discovery import Configurable
from backend.training.datasets import Dataset, Split
from estimators.core.objective import Chain

Batch = tuple[Tensor, Tensor]

Prepare = Callable[[Tensor, Tensor, Generator], Batch]
"""(examples, classes, random generator) -> the batch of the objective."""


class Evaluation(Protocol):
    """Evaluates training and validation parts during the run, and the test part at its end."""

    def due(self, step: int) -> bool:
        """Whether to evaluate before this step."""
        ...

    def along(self, step: int) -> Iterator[tuple[str, Tensor]]:
        """(metric, value) pairs during the run."""
        ...

    def last(self) -> Iterator[tuple[str, Tensor]]:
        """(metric, value) pairs of the test part, at the end."""
        ...


class Plan(NamedTuple):
    """What an evaluation needs to know of the run."""

    split: Split
    steps: int
    batch_size: int
    seed: int


class Loss(Configurable, ABC):
    """Base of losses: a frozen dataclass whose fields choose among variants."""

    uses_classes: ClassVar[bool] = True
    """Whether training compares outputs with classes, of which there must be at least two."""
    min_batch_size: ClassVar[int] = 1
    """The smallest batch that the loss is defined on."""

    @property
    def stops(self) -> bool:
        """Whether it has a stop-gradient, whose argument is constant for derivatives alone."""
        return False

    def check(self, dataset: Dataset) -> None:
        """Raise ValueError if the loss is not defined on the data set."""

    def outputs(self, dataset: Dataset) -> int:
        """The number of outputs of the network for one example."""
        return dataset.classes

    def begin(self, module: nn.Module, rng: Generator) -> None:
        """Change initial weights at which the loss has no gradient."""

    @property
    def prepare(self) -> Prepare | None:
        """Random preparation of a batch, so that the objective itself is deterministic; or None."""
        return None

    @abstractmethod
    def chain(self, module: nn.Module, batch: Batch, dataset: Dataset) -> Chain:
        """The objective on a prepared batch."""

    @abstractmethod
    def evaluation(self, module: nn.Module, dataset: Dataset, plan: Plan) -> Evaluation:
        """How the network is evaluated."""
