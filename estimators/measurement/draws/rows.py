"""Tables of numbers with one row for each draw: one that grows, and which rows are finite."""

import torch
from torch import Tensor

INITIAL_ROWS = 256
"""Rows that a new table has memory for."""


class Rows:
    """A growing table on the CPU, whose rows have the shape `shape`.

    It is one block of memory that doubles when it is full. A separate small tensor for each chunk
    of rows would be allocated between the large tensors of the draws, and would keep the system
    from reusing their memory.
    """

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float64) -> None:
        self._table = torch.empty(INITIAL_ROWS, *shape, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def all(self) -> Tensor:
        """Every row so far, (K, *shape)."""
        return self._table[: self._count]

    def add(self, rows: Tensor) -> None:
        """Append k rows, (k, *shape)."""
        count = self._count + len(rows)
        if count > len(self._table):
            grown = self._table.new_empty(2 * count, *self._table.shape[1:])
            grown[: self._count] = self.all
            self._table = grown
        self._table[self._count : count] = rows
        self._count = count


def finite_rows(rows: Tensor) -> Tensor:
    """Which rows of (K, N) are finite, as booleans (K,) on the CPU; rows without entries are."""
    if not rows.shape[1]:
        return torch.ones(len(rows), dtype=torch.bool)
    low, high = rows.aminmax(dim=1)
    return (low.isfinite() & high.isfinite()).cpu()


def squares_of_rows(rows: Tensor) -> Tensor:
    """‖x‖² of each row, (K, N) to (K,), without a table of the squares."""
    return torch.linalg.vector_norm(rows, dim=1).square()
