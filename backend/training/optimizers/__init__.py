"""Optimisers and learning-rate schedules: one file each."""

from backend.training.components.discovery import find
from backend.training.optimizers.contract import Optimizer, Schedule

__all__ = ["Optimizer", "Schedule", "optimizers", "schedules"]


def optimizers() -> dict[str, type[Optimizer]]:
    """Every optimiser by its catalogue name."""
    return find(__name__, Optimizer)


def schedules() -> dict[str, type[Schedule]]:
    """Every schedule by its catalogue name."""
    return find(__name__, Schedule)
