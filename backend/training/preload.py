"""`preload_imports`: import early what torch and the lab import lazily.

Together these imports take more than a second. A fork server that has done them gives each run
its first point that much sooner.
"""

import warnings
from importlib import import_module

from backend.training.datasets import datasets
from backend.training.losses import losses
from backend.training.networks import networks
from backend.training.optimizers import optimizers, schedules

_LAZY_MODULES = (
    "torch._dynamo",  # the first optimiser's step
    "torch._decomp.decompositions_for_jvp",  # the first forward-mode derivative
)


def preload_imports() -> None:
    """Import every module that a run will need."""
    with warnings.catch_warnings():
        # torch warns about its own use of torch.jit.script
        warnings.simplefilter("ignore", DeprecationWarning)
        for name in _LAZY_MODULES:
            import_module(name)
    for find in (datasets, losses, networks, optimizers, schedules):
        find()
