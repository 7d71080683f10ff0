"""Learning-rate schedules: one file each."""

from backend.training.components.discovery import find
from backend.training.schedules.contract import Schedule

__all__ = ["Schedule", "schedules"]


def schedules() -> dict[str, type[Schedule]]:
    """Every schedule by its catalogue name."""
    return find(__name__, Schedule)
