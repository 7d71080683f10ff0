"""A convolutional network with an equilibrium in the place of its hidden layers."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor, nn

from backend.training.networks.contract import (
    ACTIVATIONS,
    group_norm,
    image,
    named,
)
from backend.training.networks.implicit_network import ImplicitNetwork
from estimators.core.bounds import Ge, Le, Lt, Unit
from estimators.core.site import Site
from estimators.implicit.equilibrium import equilibria

FREQUENCIES = 8
"""Frequencies along each axis at which the gain of a convolution is looked at."""


class ConvolutionalCell(nn.Module):
    """f(z, x) = φ(norm(W ∗ z + x)), for states z and inputs x (B, channels, height, width)."""

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.recurrent = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = group_norm(channels)
        self.activation = activation

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.recurrent(z) + x))


def gain(kernel: Tensor) -> Tensor:
    """The largest factor by which a convolution lengthens a periodic image, ().

    max over frequencies ω of ‖K̂(ω)‖₂, for a kernel (out, in, height, width), on a grid of ω.
    """
    transformed = torch.fft.fft2(kernel, s=(FREQUENCIES, FREQUENCIES))  # (out, in, F, F)
    return torch.linalg.matrix_norm(transformed.permute(2, 3, 0, 1), 2).max()


@dataclass(frozen=True)
class ImplicitConv(ImplicitNetwork):
    """Implicit convolutional network: z = φ(norm(W ∗ z + U ∗ x + b)), pooling, a linear head.

    The normalisation is that of groups of channels, which leaves examples uncoupled.

    Source: Bai, Koltun and Kolter (2020), arXiv:2006.08656, have several resolutions of such cells.
    """

    channels: Annotated[int, Ge(1), Le(512), Unit("channels")] = 16
    """Channels of the state z."""
    stride: Annotated[int, Ge(1), Le(4), Unit("pixels")] = 2
    """Step of the first convolution (U): height and width of z are the image's divided by it."""
    pool: Annotated[int, Ge(1), Le(16), Unit("pixels")] = 2
    """Height and width of the averaged image that the head reads."""
    activation: Literal["tanh", "relu"] = "relu"
    """Nonlinearity of the cell (φ)."""
    scale: Annotated[float, Ge(0), Lt(2)] = 0.5
    """Gain of the initial recurrent convolution W: the largest factor by which it lengthens an
    image."""

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        colours, *_ = image(shape, "an implicit_conv")
        layer = self.equilibrium(ConvolutionalCell(self.channels, ACTIVATIONS[self.activation]()))
        units = ("channel", "height", "width")
        return named(
            input=named(
                conv=nn.Conv2d(colours, self.channels, 3, self.stride, padding=1),
                site=Site(units),
            ),
            equilibrium=named(layer=layer, site=Site(units)),
            head=named(
                pool=nn.AdaptiveAvgPool2d(self.pool),
                flatten=nn.Flatten(),
                linear=nn.Linear(self.channels * self.pool**2, classes),
            ),
        )

    def build(self, shape: tuple[int, ...], classes: int, rng: Generator) -> nn.Sequential:
        module = super().build(shape, classes, rng)
        with torch.no_grad():
            for stage in equilibria(module).values():
                kernel = stage.get_parameter("cell.recurrent.weight")
                kernel.mul_(self.scale / gain(kernel))
        return module
