"""What a loss is: what a network puts out for it, what is made of a batch, how it is judged."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple, Protocol

from torch import Generator, Tensor, nn

from backend.training.components.discovery import Configurable
from backend.training.datasets import Dataset, Split
from estimators.core.objective import Chain

Batch = tuple[Tensor, Tensor]

Prepare = Callable[[Tensor, Tensor, Generator], Batch]
"""(examples, classes, what to draw from) -> the batch that the objective sees."""


class Evaluation(Protocol):
    """Looks at whole parts along the run, and at the test part at its end."""

    def due(self, step: int) -> bool:
        """Whether to look `along` before this step."""
        ...

    def along(self, step: int) -> Iterator[tuple[str, Tensor]]: ...

    def last(self) -> Iterator[tuple[str, Tensor]]: ...


class Plan(NamedTuple):
    """What an evaluation needs to know of its run."""

    split: Split
    steps: int
    batch_size: int
    seed: int


class Loss(Configurable, ABC):
    """A frozen dataclass; its fields choose among variants."""

    least: ClassVar[int] = 1
    """The fewest examples of a batch."""

    @property
    def stops(self) -> bool:
        """Whether parts of it move with the weights that derivatives do not see."""
        return False

    def check(self, dataset: Dataset) -> None:
        """Raise ValueError if the data set has no such loss."""

    def outputs(self, dataset: Dataset) -> int:
        """How many numbers a network puts out for an example."""
        return dataset.classes

    def begin(self, module: nn.Module, rng: Generator) -> None:
        """Change first weights with which the loss cannot begin."""

    @property
    def prepare(self) -> Prepare | None:
        """What is drawn with a batch, so that the objective itself draws nothing."""
        return None

    @abstractmethod
    def chain(self, module: nn.Module, batch: Batch, dataset: Dataset) -> Chain:
        """The objective on a prepared batch."""

    @abstractmethod
    def evaluation(self, module: nn.Module, dataset: Dataset, plan: Plan) -> Evaluation:
        """How the network is judged."""
