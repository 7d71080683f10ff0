"""Running statistics of batch normalisation: only training updates them, estimates never do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.core.plain_pass import PlainPass
from estimators.core.replay import rewind


def has_batch_norm(module: nn.Module) -> bool:
    """Whether the module has a batch normalisation layer."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())


class RunningStatistics:
    """Updates the running statistics once a step, with the batch at the weights before the update.

    They are those of the driver's own pass, where it makes an ordinary one (backprop does), else
    this costs one forward pass; and nothing if the network has no batch normalisation. The number
    of draws of a probe or an estimate then has no effect on validation and test.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._passed = PlainPass(module) if has_batch_norm(module) else None

    @contextmanager
    def watching(self, chain: Chain, params: Params) -> Iterator[None]:
        """While this is open, an ordinary pass of `chain` at `params` gives the statistics."""
        if self._passed is None:
            yield
            return
        chain.plain_pass = self._passed
        with self._passed.during(chain.x, params):
            yield

    @torch.no_grad()
    def update(self, chain: Chain) -> None:
        """Update the statistics with the batch of the pass that was watched."""
        if self._passed is not None and not self._passed.update():
            with chain.replaying():
                rewind()
                self._module(chain.x)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put the module into evaluation mode, which uses the running statistics unchanged."""
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in before.items():  # a part may stay in evaluation mode throughout
            part.training = mode
