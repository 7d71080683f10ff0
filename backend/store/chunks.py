"""Packing points: numpy arrays to and from the blobs of the `chunk` table."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Values = NDArray[np.float64]

SMALL = 4_096
"""Chunks with fewer points are merged with their neighbours while the run is active."""
FULL = 65_536
"""Points in a merged chunk."""


@dataclass(frozen=True, slots=True)
class Packed:
    """One row of the table `chunk`, without its keys."""

    first_step: int
    last_step: int
    count: int
    steps: bytes
    values: bytes

    def row(self, series: int, attempt: int) -> dict[str, Any]:
        """The row with its keys."""
        return {
            "series": series,
            "attempt": attempt,
            **{k: getattr(self, k) for k in self.__slots__},
        }


def pack(steps: Steps, values: Values) -> Packed:
    """Pack points in ascending order of step. Raises ValueError for others, or for no points."""
    if not len(steps) or len(steps) != len(values):
        raise ValueError(
            f"{len(steps)} steps and {len(values)} values; equally many are needed, at least 1"
        )
    gaps = np.diff(steps)
    if len(gaps) and gaps.min() < 0:
        raise ValueError("the steps of a series must not decrease")
    even = not len(gaps) or gaps.min() == gaps.max()
    blob = b"" if even else steps.astype("<i8", copy=False).tobytes()
    values = values.astype("<f8", copy=False)
    return Packed(int(steps[0]), int(steps[-1]), len(steps), blob, values.tobytes())


def unpack(packed: Packed) -> tuple[Steps, Values]:
    """The points of a row, as read-only arrays."""
    values = np.frombuffer(packed.values, "<f8")
    if packed.steps:
        return np.frombuffer(packed.steps, "<i8"), values
    if packed.count == 1:
        return np.array([packed.first_step], np.int64), values
    gap = (packed.last_step - packed.first_step) // (packed.count - 1)
    return packed.first_step + gap * np.arange(packed.count, dtype=np.int64), values


def join(rows: list[Packed]) -> tuple[Steps, Values]:
    """The points of several rows by step; points of equal steps keep the order of the rows."""
    if not rows:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    if len(rows) == 1:
        return unpack(rows[0])
    parts = [unpack(row) for row in rows]
    steps = np.concatenate([s for s, _ in parts])
    values = np.concatenate([v for _, v in parts])
    if any(a.last_step > b.first_step for a, b in pairwise(rows)):
        order = np.argsort(steps, kind="stable")
        return steps[order], values[order]
    return steps, values


def split(steps: Steps, values: Values, size: int = FULL) -> list[Packed]:
    """Pack into rows of at most `size` points."""
    return [pack(steps[i : i + size], values[i : i + size]) for i in range(0, len(steps), size)]
