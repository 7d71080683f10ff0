"""Networks: one file each."""

from backend.training.components.discovery import find
from backend.training.networks.contract import Network

__all__ = ["Network", "networks"]


def networks() -> dict[str, type[Network]]:
    """Every network by its catalogue name."""
    return find(__name__, Network)
