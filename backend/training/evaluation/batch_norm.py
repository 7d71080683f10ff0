"""Running statistics of batch normalisation: only training updates them, estimates never do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def has_batch_norm(module: nn.Module) -> bool:
    """Whether the module has a batch normalisation layer."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())


class RunningStatistics:
    """Updates the running statistics once a step, with the batch at the weights before the update.

    This costs one forward pass if the network has batch normalisation, and nothing otherwise.
    The number of draws of a probe or an estimate then has no effect on validation and test.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._needed = has_batch_norm(module)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Update the statistics with a batch."""
        if self._needed:
            self._module(x)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put the module into evaluation mode, which uses the running statistics unchanged."""
    before = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(before)
