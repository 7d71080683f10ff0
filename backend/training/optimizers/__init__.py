"""Optimisers: one file each."""

from backend.training.components.discovery import find
from backend.training.optimizers.contract import Optimizer
from backend.training.schedules import Schedule, schedules

__all__ = ["Optimizer", "Schedule", "optimizers", "schedules"]


def optimizers() -> dict[str, type[Optimizer]]:
    """Every optimiser by its catalogue name."""
    return find(__name__, Optimizer)
