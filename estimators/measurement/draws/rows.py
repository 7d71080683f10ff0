"""A growing table of rows, in one block of memory that doubles when it is full.

A small tensor for each portion of rows would lie between the large tensors that come and go, and
keep the system from reusing their memory.
"""

import torch
from torch import Tensor

INITIAL_ROWS = 256


class Rows:
    """Rows of numbers of `shape`, on the CPU."""

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
