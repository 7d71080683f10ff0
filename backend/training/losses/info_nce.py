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
from backend.training.losses.augmentation import Changes
from backend.training.losses.contract import Batch, Loss, Plan, Prepare
from estimators.core import info_nce
from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.objective import Chain


@dataclass(frozen=True)
class InfoNCE(Loss):
    """InfoNCE: of all other views in the batch, pick the other view of the same example.

    ℓ_n = −log softmax_m(ẑ_n·k̂_m / τ) at n's other view. Two views of each example are drawn with
    the batch by augmentation; the network puts out a projection z, and the keys k are the same
    behind a stop-gradient. No class is seen: what was learned is read out by a ridge regression
    on the frozen input of the last linear map, fitted on the training part.
    """

    title = "InfoNCE"

    temperature: Annotated[float, Gt(0.0), Le(100.0)] = 0.1
    """τ: the smaller, the more the nearest wrong key counts."""
    projector: Annotated[int, Ge(1), Le(16_384), Unit("outputs")] = 128
    """Outputs of the last layer (and of local heads), in place of one a class."""
    stop_gradient: bool = True
    """Keys are held still. Off: gradients flow through them as well, which couples the examples of
    a batch; perturbing estimators with a coefficient for each example become biased."""
    shared_noise: bool = True
    """Both views of an example get the same noise at sites; off: each its own."""
    shift: Annotated[int, Ge(0), Le(1024), Unit("pixels")] = 1
    """Augmentation of images: moved by up to so many pixels along each side."""
    erase: Annotated[int, Ge(0), Le(1024), Unit("pixels")] = 2
    """Augmentation of images: side of a square of zeros at a random place."""
    flip: bool = False
    """Augmentation of images: mirrored left to right at even odds. A digit is then another sign."""
    noise: Annotated[float, Ge(0.0), Le(100.0)] = 0.1
    """Augmentation: standard deviation of the normals added to each number of an example."""

    least: ClassVar[int] = 2

    @property
    def stops(self) -> bool:
        return self.stop_gradient

    def check(self, dataset: Dataset) -> None:
        if not dataset.classified:
            raise ValueError(
                "info_nce needs examples of which two views can be drawn; this data set has one "
                "point and no examples: its loss is cross_entropy, or take digits or two_moons"
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
            raise ValueError(f"nothing tells the two views apart; give {which} above 0")

    def outputs(self, dataset: Dataset) -> int:
        return self.projector

    @torch.no_grad()
    def begin(self, module: nn.Module, rng: Generator) -> None:
        """Draw the maps that are zero: an output of zero has no direction, and no gradient."""
        for m in module.modules():
            if isinstance(m, nn.Linear) and not m.weight.any():
                nn.init.normal_(m.weight, std=m.in_features**-0.5, generator=rng)

    @property
    def prepare(self) -> Prepare:
        return self.two_views

    def two_views(self, x: Tensor, y: Tensor, rng: Generator) -> Batch:
        """Two views of each example, one behind the other: (2B, *shape), and classes."""
        change = Changes(self.shift, self.flip, self.erase, self.noise)
        return change(torch.cat([x, x]), rng), torch.cat([y, y])

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
