"""The shallow network of Bacho and Chu (2022), arXiv:2212.07282: 15C5-40C5-128-10."""

from dataclasses import dataclass
from typing import Literal

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
from estimators.core.site import Site

KERNEL_SIZE = 5
CHANNELS = (15, 40)
UNITS = 128


@dataclass(frozen=True)
class BachoCNN(Network):
    """Bacho and Chu's shallow network: 15 and 40 channels of 5×5, 128 units, then a linear head.

    As in their code, no pooling follows the first convolution; 2×2 maximum pooling follows the
    second.
    """

    title = "Bacho's shallow CNN"

    activation: Activation = "relu"
    """Nonlinearity after each hidden layer."""
    normalisation: Normalisation = "none"
    """Normalisation before each nonlinearity. batch: the examples of a batch are coupled, and
    estimators with a coefficient for each example become biased; validation and test use running
    statistics."""
    padding: Literal["same", "none"] = "same"
    """same: convolutions keep height and width. none: each reduces them by 4, for images of at
    least 10×10."""

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        channels, height, width = image(shape, "a bacho_cnn")
        lost = 0 if self.padding == "same" else 2 * (KERNEL_SIZE - 1)
        if min(height, width) - lost < 2:
            raise ValueError(
                f"a bacho_cnn with padding {self.padding} needs images of at least "
                f"{lost + 2}×{lost + 2}; those of this data set have {height}×{width}"
            )
        left = CHANNELS[1] * ((height - lost) // 2) * ((width - lost) // 2)
        return named(
            conv1=self._conv(channels, CHANNELS[0]),
            conv2=self._conv(*CHANNELS, pool=nn.MaxPool2d(2)),
            hidden=named(
                flatten=nn.Flatten(),
                linear=nn.Linear(left, UNITS),
                norm=norm(self.normalisation, UNITS, image=False),
                site=Site(("unit",)),
                activation=ACTIVATIONS[self.activation](),
            ),
            head=named(linear=nn.Linear(UNITS, classes)),
        )

    def _conv(self, fan_in: int, fan_out: int, pool: nn.Module | None = None) -> nn.Sequential:
        return named(
            conv=nn.Conv2d(
                fan_in, fan_out, KERNEL_SIZE, padding=2 if self.padding == "same" else 0
            ),
            norm=norm(self.normalisation, fan_out, image=True),
            site=Site(("channel", "height", "width")),
            activation=ACTIVATIONS[self.activation](),
            pool=pool,
        )
