"""Running statistics of batch normalisation: estimates only read them, the training moves them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def couples(module: nn.Module) -> bool:
    """Whether it has batch normalisation."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())


class RunningStatistics:
    """Moves them once a step, by the driver's batch at the weights before the update.

    It costs one forward pass of a network that has any, and nothing else. How many draws a
    probe or an estimate takes then changes nothing of what validation and test see.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._any = couples(module)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Let a batch pass."""
        if self._any:
            self._module(x)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode, where running statistics are used and none is moved."""
    before = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(before)
