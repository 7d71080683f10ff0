"""Rows that come in portions, kept in one piece of memory that doubles when it is full.

A small tensor for each portion would stay between the large ones that come and go, and keep the
system from using their memory again.
"""

import torch
from torch import Tensor

LEAST = 256


class Rows:
    """Numbers of `shape` in each row, on the CPU."""

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float64) -> None:
        self._table = torch.empty(LEAST, *shape, dtype=dtype)
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
