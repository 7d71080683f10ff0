"""Data sets: one file each."""

from backend.training.components.discovery import find
from backend.training.datasets.contract import Dataset, Part, Split

__all__ = ["Dataset", "Part", "Split", "datasets"]


def datasets() -> dict[str, type[Dataset]]:
    """Every data set by its catalogue name."""
    return find(__name__, Dataset)
