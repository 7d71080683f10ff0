"""Losses: one file each."""

from backend.training.components.discovery import find
from backend.training.losses.contract import Loss

__all__ = ["Loss", "losses"]


def losses() -> dict[str, type[Loss]]:
    """Every loss by its catalogue name."""
    return find(__name__, Loss)
