"""ResNet-18 of He et al. (2016), divided as Fournier et al. (2023), arXiv:2306.06968, divide it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn

from backend.training.networks.contract import (
    ACTIVATIONS,
    Activation,
    Network,
    image,
    named,
    norm,
)
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.site import Site

Variant = Literal["8_blocks", "16_blocks", "6_blocks"]

WIDTHS: dict[Variant, tuple[int, ...]] = {
    "8_blocks": (1, 1, 2, 2, 4, 4, 8, 8),
    "16_blocks": tuple(k for k in (1, 2, 4, 8) for _ in range(4)),
    "6_blocks": (1, 1, 2, 2, 4, 4),
}
"""Channels of each block, in units of those of the first. A block that has twice those of the
block before it halves height and width."""


@dataclass(frozen=True)
class ResNet(Network):
    """Residual network: ResNet-18 in 8 blocks, without skip connections in 16, or a small one in 6.

    A 3×3 convolution without pooling begins the first block. Every block is a stage; the last one
    holds the head as well (global average pooling and a linear map), as in Fournier et al., where
    the last block always gets its exact gradient. The widths of the 6 blocks are ours, since the
    paper does not give them: they are the first six of the 8.
    """

    title = "ResNet"

    variant: Variant = "8_blocks"
    """8_blocks: ResNet-18, a basic residual block each. 16_blocks: one convolution each, the first
    two, no skip connections. 6_blocks: a small residual network."""
    width: Annotated[int, Ge(2), Le(1024), Unit("channels")] = 16
    """Channels of the first block; the last has 8 times as many (6_blocks: 4 times). ResNet-18 has
    64."""
    normalisation: Literal["batch", "group", "layer"] = "group"
    """Normalisation behind each convolution. batch, as in the paper: the examples of a batch are
    coupled, and estimators with a coefficient for each example become biased; validation and test
    use running statistics."""
    activation: Activation = "relu"
    """Nonlinearity of the blocks; in a residual block, the second follows the addition."""

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        channels, height, width = image(shape, "a resnet")
        self._refuse_small(height, width)
        sizes = [self.width * k for k in WIDTHS[self.variant]]
        parts = list(self._parts(sizes))
        stem = self._conv(channels, self.width, 1)
        head = named(
            pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), linear=nn.Linear(sizes[-1], classes)
        )
        last = len(parts) - 1
        blocks = {
            f"block{i + 1}": named(
                stem=stem if i == 0 else None, body=part, head=head if i == last else None
            )
            for i, part in enumerate(parts)
        }
        return named(**blocks)

    def _parts(self, sizes: list[int]) -> Iterator[nn.Module]:
        """The blocks, without the stem and the head."""
        fan_in = self.width
        for fan_out in sizes:
            stride = 1 if fan_in == fan_out else 2
            if self.variant == "16_blocks":
                yield self._conv(fan_in, fan_out, stride)
            else:
                yield ResidualBlock(
                    self._conv(fan_in, fan_out, stride),
                    named(conv=_conv3(fan_out, fan_out, 1), norm=self._norm(fan_out)),
                    None if stride == 1 else self._projection(fan_in, fan_out),
                    ACTIVATIONS[self.activation](),
                )
            fan_in = fan_out

    def _conv(self, fan_in: int, fan_out: int, stride: int) -> nn.Sequential:
        return named(
            conv=_conv3(fan_in, fan_out, stride),
            norm=self._norm(fan_out),
            site=_site(),
            activation=ACTIVATIONS[self.activation](),
        )

    def _projection(self, fan_in: int, fan_out: int) -> nn.Sequential:
        return named(
            conv=nn.Conv2d(fan_in, fan_out, 1, stride=2, bias=False), norm=self._norm(fan_out)
        )

    def _norm(self, features: int) -> nn.Module | None:
        return norm(self.normalisation, features, image=True)

    def _refuse_small(self, height: int, width: int) -> None:
        halvings = WIDTHS[self.variant][-1].bit_length() - 1
        least = 2 ** (halvings - 1) + 1  # so that two pixels are left to the last halving
        if min(height, width) < least:
            raise ValueError(
                f"a resnet of {self.variant} halves height and width {halvings} times and "
                f"needs images of at least {least}×{least}; those of this data set have "
                f"{height}×{width}"
            )


class ResidualBlock(nn.Module):
    """y = φ(second(first(x)) + shortcut(x)): the basic block of ResNet-18.

    The second site is behind the sum: a signal there reaches the second convolution and the
    shortcut alike.
    """

    def __init__(
        self,
        first: nn.Module,
        second: nn.Module,
        shortcut: nn.Module | None,
        activation: nn.Module,
    ) -> None:
        super().__init__()
        self.first, self.second, self.shortcut = first, second, shortcut
        self.site, self.activation = _site(), activation

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(self.first(x))
        skipped = x if self.shortcut is None else self.shortcut(x)
        return self.activation(self.site(h + skipped))


def _conv3(fan_in: int, fan_out: int, stride: int) -> nn.Conv2d:
    """A 3×3 convolution; the normalisation behind it has the bias."""
    return nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False)


def _site() -> Site:
    return Site(("channel", "height", "width"))
