"""Networks with skip connections, tiny and in float64: the lab's ResNet, and others' blocks."""

import torch
from torch import Tensor, nn

from backend.training.networks.resnet import ResNet
from estimators import Site, stream
from tests.estimators.zoo.foreign import CLASSES, EXAMPLES, Foreign, Network, network

SIZE = 8


def _resnet(**fields) -> Network:
    module = ResNet(**fields).build((1, SIZE, SIZE), CLASSES, stream(0, "init"))
    return network(module, torch.randn(EXAMPLES, 1, SIZE, SIZE))


class InPlaceBlock(nn.Module):
    """The basic block as torchvision writes it: sum and non-linearities overwrite their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.site1, self.site2 = Site(), Site()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.site1(self.bn1(self.conv1(x))))
        out = self.bn2(self.conv2(out))
        out += x
        return self.relu(self.site2(out))


class PreActivationBlock(nn.Module):
    """He et al. (2016b): the skip connection passes both sites of its block, and ends at none."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1, self.norm2 = nn.GroupNorm(1, channels), nn.GroupNorm(1, channels)
        self.site1, self.site2 = Site(), Site()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(torch.relu(self.site1(self.norm1(x))))
        return x + self.conv2(torch.relu(self.site2(self.norm2(h))))


def _of_blocks(block: type) -> Network:
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), Site(), nn.ReLU()),
        block(4),
        block(4),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES)),
    )
    return network(net, torch.randn(EXAMPLES, 1, 4, 4))


RESNETS = [
    Foreign(f"{v}, {n}", lambda v=v, n=n: _resnet(variant=v, normalisation=n, width=4))
    for v in ("6_blocks", "8_blocks", "16_blocks")
    for n in ("group", "batch", "layer")
]
OTHERS = [
    Foreign("tanh, group", lambda: _resnet(variant="6_blocks", activation="tanh", width=4)),
    Foreign("width 8, batch", lambda: _resnet(variant="6_blocks", normalisation="batch", width=8)),
    Foreign("in place", lambda: _of_blocks(InPlaceBlock)),
    Foreign("pre-activation", lambda: _of_blocks(PreActivationBlock)),
]
RESIDUAL = [*RESNETS, *OTHERS]
