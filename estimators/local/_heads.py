"""The heads that are made for blocks of a network that brings none."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

from estimators.auxiliary.local_loss import (
    LocalLossName,
    local_losses,
    refuse_targets,
    with_similarity,
)
from estimators.auxiliary.networks import (
    AuxiliaryNorm,
    auxiliary_network,
    blank,
    first_weights,
)
from estimators.core.contract import UnsupportedError
from estimators.core.objective import Chain, Losses
from estimators.local._replicated import POOLED, pooled

HeadName = Literal["pooled_linear", "linear", "mlp", "cnn"]

_IMAGE = ("channel", "height", "width")


class PooledLinear(nn.Module):
    """A linear readout of the mean over patches, height and width: (B, *units) -> (B, outputs)."""

    def __init__(self, linear: nn.Linear, units: Sequence[str]) -> None:
        super().__init__()
        self.linear, self.units = linear, tuple(units)

    def forward(self, h: Tensor) -> Tensor:
        return self.linear(pooled(h, self.units))


class PositionLinear(nn.Module):
    """A linear readout of each position: (B, T, features) -> (B, T, outputs)."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, h: Tensor) -> Tensor:
        return self.linear(h)


class MadeHeads(NamedTuple):
    """Which heads are made, and with which loss."""

    name: HeadName = "pooled_linear"
    width: int = 32
    norm: AuxiliaryNorm = "layer"
    loss: LocalLossName = "prediction"

    def module(self, h: Tensor, units: tuple[str, ...], output: tuple[int, ...]) -> nn.Module:
        """The head of a block's output `h`, (B, *units), to (B, outputs + features); all zero.

        In a network with an output for each position, (B, T, outputs), so has the head.

        Raises UnsupportedError if it does not read that output.
        """
        shape, outputs = tuple(h.shape[1:]), output[-1]
        if len(output) == 2:
            return self._for_positions(h, output)
        if self.name == "pooled_linear":
            sizes = (n for n, unit in zip(shape, units, strict=True) if unit not in POOLED)
            features = torch.Size(sizes).numel()
            head = PooledLinear(blank(lambda: nn.Linear(features, outputs), h), units)
        else:
            _refuse_axes(f"the auxiliary {self.name}", shape, units)
            head = auxiliary_network(
                self.name, shape, outputs, width=self.width, norm=self.norm, like=h
            )
        if self.loss == "prediction":
            return head
        _refuse_axes("similarity matching", shape, units)
        return with_similarity(head, shape, h)

    def _for_positions(self, h: Tensor, output: tuple[int, ...]) -> nn.Module:
        if self.name != "pooled_linear" or h.ndim != 3 or h.shape[1] != output[0]:
            raise UnsupportedError(
                f"the network has an output for each of {output[0]} positions, for which heads are "
                f"linear maps of ({output[0]}, features), and this block puts out "
                f"{tuple(h.shape[1:])} to a head {self.name}: take pooled_linear, and blocks "
                "that keep the positions"
            )
        return PositionLinear(blank(lambda: nn.Linear(h.shape[2], output[1]), h))

    def losses(self, chain: Chain, outputs: int) -> Losses:
        """The loss of such a head's output. Raises UnsupportedError if the targets do not fit."""
        if self.loss != "prediction" and chain.views > 1:
            raise UnsupportedError(
                f"local_loss is {self.loss}, and similarity matching compares the features with "
                "the classes of the examples, and this loss compares views of them: choose the "
                "local loss prediction"
            )
        refuse_targets(self.loss, chain.y)
        return local_losses(self.loss, chain._losses, outputs)


def first_head(head: nn.Module, rng: Generator) -> list[Tensor]:
    """A head's weights before the first step, in the order of its parameters.

    Those of a linear head are uniform in ±1/√features.
    """
    if not isinstance(head, PooledLinear | PositionLinear):
        return list(first_weights(head, rng).values())
    weight, bias = (torch.zeros_like(p.detach()) for p in head.parameters())
    bound = weight.shape[1] ** -0.5
    return [weight.uniform_(-bound, bound, generator=rng), bias]


def _refuse_axes(what: str, shape: tuple[int, ...], units: tuple[str, ...]) -> None:
    if len(shape) == len(_IMAGE) and units != _IMAGE:
        raise UnsupportedError(
            f"{what} reads (features,) or (channels, height, width), and the axes of {shape} are "
            f"named ({', '.join(units)}): choose the head pooled_linear and the local loss "
            "prediction, or bring a LocalHead"
        )
