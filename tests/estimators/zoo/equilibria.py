"""Networks with an equilibrium stage: between sites, before the first one, behind the last one."""

import torch
from torch import Tensor, nn

from estimators import Anderson, Broyden, Equilibrium, FixedPoint, Site
from tests.estimators.zoo.foreign import CLASSES, EXAMPLES, Foreign, Network, in_images, network


class Dense(nn.Module):
    """f(z, x) = tanh(W z + x), ‖W‖ < 1."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.recurrent = nn.Linear(width, width)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(self.recurrent(z) / 2 + x)


class Convolutional(nn.Module):
    """f(z, x) = norm(relu(z + conv(x + conv(z)))), of two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.second = nn.Conv2d(2, 2, 3, padding=1)
        self.norm = nn.GroupNorm(1, 2)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        inner = nn.functional.silu(x + self.first(z) / 2)
        return self.norm(torch.tanh(self.second(inner) / 2 + x)) / 2


def _rows(*modules: nn.Module) -> Network:
    net = nn.Sequential(nn.Linear(3, 4), *modules, nn.Linear(4, CLASSES))
    return network(net, torch.randn(EXAMPLES, 3))


EQUILIBRIA = [
    Foreign(name, make)
    for name, make in {
        "equilibrium": lambda: _rows(Site(), Equilibrium(Dense()), Site(), nn.Tanh()),
        "equilibrium_behind_sites": lambda: _rows(
            Site(), nn.Tanh(), Equilibrium(Dense(), Broyden()), nn.ReLU(inplace=True)
        ),
        "equilibrium_before_sites": lambda: _rows(
            Equilibrium(Dense(), FixedPoint()), nn.Linear(4, 4), Site(), nn.Tanh()
        ),
        "two_equilibria": lambda: _rows(
            Site(),
            Equilibrium(Dense(), Anderson(), FixedPoint()),
            Site(),
            Equilibrium(Dense(), Broyden(), Anderson()),
        ),
        "equilibrium_of_convolutions": lambda: in_images(Equilibrium(Convolutional()), 32),
    }.items()
]
