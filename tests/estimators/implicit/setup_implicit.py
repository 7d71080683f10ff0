"""Small cells with a bounded Jacobian, networks around them, and what they should give."""

import torch
from torch import Tensor, nn

from estimators import Anderson, Broyden, Chain, Equilibrium, FixedPoint, Site

SOLVERS = {
    "fixed point": FixedPoint(),
    "damped": FixedPoint(damping=0.7, limit=1000),
    "anderson": Anderson(),
    "broyden": Broyden(),
    "short memory": Broyden(memory=3),
}
SINGLE = 2.0**-29
"""Units of least precision of float64, in those of float32."""


class TanhCell(nn.Module):
    """f(z, x) = tanh(W z + b + x)."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.recurrent = nn.Linear(width, width)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(self.recurrent(z) + x)


class LinearCell(nn.Module):
    """f(z, x) = W z + b + x: J = W everywhere."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.recurrent = nn.Linear(width, width)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return self.recurrent(z) + x


def scaled(weight: Tensor, size: float) -> None:
    """Give a matrix the spectral norm `size`."""
    with torch.no_grad():
        weight.mul_(size / torch.linalg.matrix_norm(weight, 2))


def network(
    cell: type[nn.Module] = TanhCell, solver=None, linear_solver=None, size=0.7, sites=False
) -> nn.Sequential:
    """Linear(4, 5), an equilibrium whose recurrent weights have norm `size`, Linear(5, 3)."""
    rng = torch.get_rng_state()
    torch.default_generator.manual_seed(0)
    stage = Equilibrium(cell(), solver, linear_solver)
    site = [Site()] if sites else []
    net = nn.Sequential(
        nn.Sequential(nn.Linear(4, 5), *site), nn.Sequential(stage, *site), nn.Linear(5, 3)
    ).double()
    torch.set_rng_state(rng)
    scaled(stage.cell.recurrent.weight, size)
    return net


def batch(examples: int = 6) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(examples, 4, generator=rng).double(), torch.arange(examples) % 3


def chain_of(net: nn.Module) -> tuple[Chain, dict[str, Tensor]]:
    return Chain(net, *batch()), {n: p.detach().clone() for n, p in net.named_parameters()}


def direction(params: dict[str, Tensor], seed: int = 2) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {n: torch.randn(p.shape, generator=rng).to(p) for n, p in params.items()}


def dot(a, b) -> float:
    return sum((a[n] * b[n]).sum().item() for n in b)


def flat(grads) -> Tensor:
    return torch.cat([g.reshape(-1) for _, g in sorted(grads.items())])


def jacobians(stage: Equilibrium, x: Tensor) -> tuple[Tensor, Tensor]:
    """(z*, J), (B, n) and (B, n, n), by a dense Newton iteration."""
    x = x.detach()
    z = torch.zeros_like(x)
    eye = torch.eye(x.shape[1]).double()

    def j(z):
        row = torch.func.jacrev(stage.cell)
        return torch.stack([row(a, b).detach() for a, b in zip(z, x, strict=True)])

    for _ in range(30):
        g = (stage.cell(z, x) - z).detach()
        z = z + torch.linalg.solve(eye - j(z), g.unsqueeze(2)).squeeze(2)
    return z, j(z)
