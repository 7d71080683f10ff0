"""Imports that torch and we put off until first use, taken ahead.

They take more than a second together. A fork server that has them gives each run its first
point that much sooner.
"""

import warnings
from importlib import import_module

from backend.training.datasets import datasets
from backend.training.losses import losses
from backend.training.networks import networks
from backend.training.optimizers import optimizers, schedules

_LATE = (
    "torch._dynamo",  # the first optimiser's step
    "torch._decomp.decompositions_for_jvp",  # the first forward-mode derivative
)


def preload_imports() -> None:
    """Import everything that a run will."""
    with warnings.catch_warnings():
        # torch warns of its own use of torch.jit.script
        warnings.simplefilter("ignore", DeprecationWarning)
        for name in _LATE:
            import_module(name)
    for find in (datasets, losses, networks, optimizers, schedules):
        find()
