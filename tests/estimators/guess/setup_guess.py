"""Networks in float64 on which guesses and targets are compared."""

from collections import OrderedDict
from itertools import product
from typing import Any

import torch
from torch import nn

from estimators import Chain, GuessAndTarget, Site, stream

TARGETS = ("global", "local", "look_ahead")
GUESSES = ("local", "look_ahead", "global", "normal", "rademacher", "ntk", "fixed_ntk")
UNITS = ("output_and_example", "tensor", "tensor_and_example")
GRID = list(product(TARGETS, GUESSES, UNITS))


def convolutional(norm: Any = None) -> tuple[Chain, dict[str, torch.Tensor]]:
    """Three blocks, one of them residual, and a readout, on six images."""
    generator = torch.Generator().manual_seed(3)

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)
            self.site = Site()

        def forward(self, h: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.site(self.conv(h) + h))

    stages = OrderedDict(
        stem=nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *([norm(4)] if norm else []), nn.Tanh()),
        residual=Residual(),
        dense=nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 5), nn.Tanh()),
        head=nn.Linear(5, 3),
    )
    module = nn.Sequential(stages).double()
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype) * 0.4
    x = torch.randn(6, 1, 6, 6, generator=generator, dtype=torch.float64)
    chain = Chain(module, x, torch.tensor([0, 1, 2, 0, 1, 2]))
    return chain, {n: p.detach() for n, p in module.named_parameters()}


def blocks_of(params: dict[str, torch.Tensor]) -> list[list[str]]:
    """The parameters of each block that has a guess, by name."""
    return [[n for n in params if n.startswith(f"{s}.")] for s in ("stem", "residual", "dense")]


def begun(estimator: GuessAndTarget, chain: Chain, params: Any) -> dict[str, Any]:
    """Its first state."""
    return estimator.init(chain, params, stream(0, "init"))


def close(a: Any, b: Any, within: float = 1e-10) -> None:
    """Each tensor of `a` is that of `b`, to a share of the largest entry of all."""
    size = max(t.abs().max() for t in b.values())
    assert {*a} == {*b}
    for name, t in b.items():
        assert (a[name] - t).abs().max() <= within * size, name
