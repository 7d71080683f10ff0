"""A small convolutional network."""

from dataclasses import dataclass
from typing import Annotated

from torch import nn

from backend.training.networks.contract import (
    ACTIVATIONS,
    Activation,
    Network,
    Normalisation,
    image,
    named,
    norm,
)
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.site import Site


@dataclass(frozen=True)
class CNN(Network):
    """Convolutional network: `depth` 3×3 convolutions, average pooling, then a linear head.

    Every second convolution halves height and width and doubles the channels.
    """

    channels: Annotated[int, Ge(1), Le(1024), Unit("channels")] = 16
    """Channels of the first convolution."""
    depth: Annotated[int, Ge(1), Le(12), Unit("layers")] = 3
    """Number of convolutions, without the head."""
    activation: Activation = "relu"
    """Nonlinearity after each convolution."""
    normalisation: Normalisation = "none"
    """Normalisation between each convolution and its nonlinearity. batch: the examples of a batch
    are coupled, and estimators with a coefficient for each example become biased; validation and
    test use running statistics."""

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        fan_in, _, _ = image(shape, "a cnn")
        stages: dict[str, nn.Module] = {}
        for i in range(self.depth):
            stride, fan_out = 1 + i % 2, self.channels * 2 ** ((i + 1) // 2)
            stages[f"conv{i + 1}"] = self._conv(fan_in, fan_out, stride)
            fan_in = fan_out
        head = named(
            pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), linear=nn.Linear(fan_in, classes)
        )
        return named(**stages, head=head)

    def _conv(self, fan_in: int, fan_out: int, stride: int) -> nn.Sequential:
        return named(
            conv=nn.Conv2d(fan_in, fan_out, 3, stride, padding=1),
            norm=norm(self.normalisation, fan_out, image=True),
            site=Site(("channel", "height", "width")),
            activation=ACTIVATIONS[self.activation](),
        )
