"""Sample networks for the checks: tiny networks on a batch, in float64, and a surface."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn

from estimators.core.contract import Estimator, Need, Params, UnsupportedError
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.core.site import Site
from estimators.implicit.equilibrium import Equilibrium
from estimators.measurement.inputs.examination import examined
from estimators.perturbation.forward_gradient import ForwardGradient
from estimators.requirements import require

BALANCED = 2854
"""Seed at which each tensor of the dense network has 14 % to 20 % of ‖g‖²: the bias of one tensor
is then seen with few draws."""


@dataclass(frozen=True, eq=False)
class Case:
    """A tiny network on a batch, and its parameters."""

    name: str
    chain: Chain
    params: Params
    only: Need | None = None
    """The need without which an estimator is not tried on it, since the others take as well."""


def served(estimator: Estimator, case: Case) -> bool:
    """Whether the case meets the estimator's needs, and is meant for it."""
    if case.only is not None and case.only not in estimator.needs():
        return False
    try:
        require(estimator, case.chain, case.params)
    except UnsupportedError:
        return False
    return True


@cache
def every_case() -> tuple[Case, ...]:
    """The networks of `cases`, and those that some estimators need.

    Raises UnsupportedError if forward mode and reverse mode of the installed torch differ on one.
    """
    every = (*cases(), _mixer(), _surface(), _line(), _implicit())
    for case in every:
        examined(case.chain, case.params, {"forward_gradient": ForwardGradient()})
    return every


def cases() -> list[Case]:
    """A dense and a convolutional network, in stages, with sites, of fewer than 300 parameters."""
    dense = {
        "hidden1": nn.Sequential(nn.Linear(4, 5), Site(), nn.Tanh()),
        "hidden2": nn.Sequential(nn.Linear(5, 4), Site(), nn.ReLU()),
        "output": nn.Linear(4, 3),
    }
    convolutional = {
        "conv1": nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1), nn.GroupNorm(1, 2), Site(), nn.ReLU(), nn.AvgPool2d(2)
        ),
        "conv2": nn.Sequential(nn.Conv2d(2, 3, 2), Site(), nn.Tanh()),
        "output": nn.Sequential(nn.Flatten(), nn.Linear(12, 3)),
    }
    return [_case("mlp", dense, (4,), BALANCED), _case("cnn", convolutional, (1, 6, 6))]


class _Mean(nn.Module):
    """The mean over the patches, with the groups side by side."""

    def forward(self, z: Tensor) -> Tensor:
        return z.mean(1).flatten(1)


def _mixer() -> Case:
    """A network whose activations have patches, groups and channels."""
    units = ("patch", "group", "channel")
    stages = {
        "patches": nn.Sequential(nn.Linear(4, 4), nn.Unflatten(2, (2, 2)), Site(units), nn.ReLU()),
        "mix": nn.Sequential(nn.Linear(2, 2), Site(units), nn.Tanh()),
        "head": nn.Sequential(_Mean(), nn.Linear(4, 3)),
    }
    return _case("mixer", stages, (4, 4))


class _Cell(nn.Module):
    """f(z, x) = tanh(W z + x)."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.Linear(4, 4, bias=False)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(self.recurrent(z) + x)


def _implicit() -> Case:
    """A network with an equilibrium stage. The other estimators meet one in tests of its own."""
    stages = {
        "input": nn.Sequential(nn.Linear(4, 4), Site()),
        "equilibrium": nn.Sequential(Equilibrium(_Cell()), Site()),
        "output": nn.Linear(4, 3),
    }
    return replace(_case("implicit", stages, (4,)), only=Need.EQUILIBRIUM)


class _Rosenbrock(nn.Module):
    """f(w) = ((1 − w₀)² + 4 (w₁ − w₀²)²) / 16 for every example, (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.empty(2))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.w
        return ((1 - a).square() + 4 * (b - a.square()).square()).div(16).expand(len(x))


def _surface() -> Case:
    """A loss of two parameters without sites, stages or data."""
    module = _Rosenbrock().double()
    params = {"w": torch.tensor([-0.6, 0.9], dtype=torch.float64)}
    x, y = torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    return Case("surface", Chain(module, x, y, lambda output, _: output), params)


class _Slope(nn.Module):
    """f(w) = (w x_n)² / 2 for every example, (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.empty(1))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.w).square().sum(1) / 2


def _line() -> Case:
    """A loss of one parameter. Along one axis, a direction of signs scatters not at all, so that
    the scale of an estimate is seen in a single draw."""
    module = _Slope().double()
    params = {"w": torch.tensor([1.3], dtype=torch.float64)}
    x, y = torch.tensor([[0.7], [1.1]], dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    return Case("line", Chain(module, x, y, lambda output, _: output), params)


def _case(
    name: str, stages: Mapping[str, nn.Module], shape: tuple[int, ...], seed: int = 0
) -> Case:
    module = nn.Sequential()
    for stage, m in stages.items():
        module.add_module(stage, m)
    module.double()
    rng = stream(seed, "init", name)
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.6, generator=rng)
    x = torch.randn(6, *shape, generator=rng, dtype=torch.float64)
    y = torch.randint(3, (6,), generator=rng)
    params = {n: p.detach().clone() for n, p in module.named_parameters()}
    return Case(name, Chain(module, x, y), params)
