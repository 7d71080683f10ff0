"""InfoNCE between two views of each example: van den Oord, Li and Vinyals (2018),
arXiv:1807.03748, as Ren, Kornblith, Liao and Hinton (2022), arXiv:2210.03310, train with it.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Generator, Tensor, nn

from backend.sentences import wrong
from backend.training.datasets import Dataset
from backend.training.evaluation.contrastive import Contrastive
from backend.training.examples.augmentation import Augmentation
from backend.training.losses.contract import Batch, Loss, Plan, Prepare
from estimators.core import info_nce
from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.objective import Chain


@dataclass(frozen=True)
class InfoNCE(Loss):
    """InfoNCE: of all other views in the batch, pick the other view of the same example.

    ℓ_n = −log softmax_m(ẑ_n·k̂_m / τ) at n's other view. Augmentation draws two views of each
    example with the batch. The network's output is a projection z, and the keys k are the same
    behind a stop-gradient. Training uses no classes; a ridge regression on the frozen input of the
    last linear layer, fitted on the training part, measures what was learned.
    """

    title = "InfoNCE"

    temperature: Annotated[float, Gt(0.0), Le(100.0)] = 0.1
    """Temperature τ: a smaller one gives more weight to the nearest wrong key."""
    projector: Annotated[int, Ge(1), Le(16_384), Unit("outputs")] = 128
    """Outputs of the last layer (and of local heads), instead of one for each class."""
    stop_gradient: bool = True
    """Keys are constants. Off: gradients also flow through the keys, which couples the examples of
    a batch; perturbing estimators with a coefficient for each example become biased."""
    shared_noise: bool = True
    """Both views of an example get the same noise at sites. Off: each gets its own."""
    shift: Annotated[int, Ge(0), Le(1024), Unit("pixels")] = 1
    """Augmentation of images: the largest shift along each side."""
    erase: Annotated[int, Ge(0), Le(1024), Unit("pixels")] = 2
    """Augmentation of images: side of a square of zeros at a random position."""
    flip: bool = False
    """Augmentation of images: mirror with probability ½. A mirrored digit is no longer a digit."""
    noise: Annotated[float, Ge(0.0), Le(100.0)] = 0.1
    """Augmentation: standard deviation of the Gaussian noise added to each number."""

    uses_classes: ClassVar[bool] = False
    min_batch_size: ClassVar[int] = 2

    @property
    def stops(self) -> bool:
        return self.stop_gradient

    def check(self, dataset: Dataset) -> None:
        if not dataset.classified:
            raise ValueError(
                "info_nce needs examples of which two views can be drawn; this data set has one "
                "point and no examples: its loss is cross_entropy, or take digits or two_moons"
            )
        if dataset.tokens:
            raise ValueError(
                "info_nce draws two views of an example by shifting, erasing or adding noise, and "
                "an example of this data set is tokens: its loss is cross_entropy"
            )
        if len(dataset.shape) == 3:
            most = min(dataset.shape[1:]) // 2
            for name in ("shift", "erase"):
                if (value := getattr(self, name)) > most:
                    size = "×".join(map(str, dataset.shape[1:]))
                    raise ValueError(wrong(name, value, f"at most {most} of images of {size}"))
        moves = self.noise, *((self.shift, self.erase, self.flip) if dataset.shape[2:] else ())
        if not any(moves):
            which = "shift, erase, flip or noise" if dataset.shape[2:] else "noise"
            raise ValueError(f"the two views would be the same; give {which} above 0")

    def outputs(self, dataset: Dataset) -> int:
        return self.projector

    @torch.no_grad()
    def begin(self, module: nn.Module, rng: Generator) -> None:
        """Initialise linear layers that are zero: a zero output has no direction or gradient."""
        for m in module.modules():
            if isinstance(m, nn.Linear) and not m.weight.any():
                nn.init.normal_(m.weight, std=m.in_features**-0.5, generator=rng)

    @property
    def prepare(self) -> Prepare:
        return self.two_views

    def two_views(self, x: Tensor, y: Tensor, rng: Generator) -> Batch:
        """Two views of each example, all first ones before all second ones: (2B, *shape), (2B,)."""
        augmentation = Augmentation(self.shift, self.flip, self.erase, self.noise)
        return augmentation(torch.cat([x, x]), rng), torch.cat([y, y])

    def chain(self, module: nn.Module, batch: Batch, dataset: Dataset) -> Chain:
        return Chain(
            module,
            *batch,
            self._loss,
            separable=None if self.stop_gradient else False,
            views=2 if self.shared_noise else 1,
        )

    def evaluation(self, module: nn.Module, dataset: Dataset, plan: Plan) -> Contrastive:
        return Contrastive(module, plan, dataset.classes, self._loss, self.two_views)

    @property
    def _loss(self) -> info_nce.InfoNCE:
        return info_nce.InfoNCE(self.temperature, self.stop_gradient)
