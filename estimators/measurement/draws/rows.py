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


def unit_products(rows: Tensor, g: Tensor, units: int) -> Tensor:
    """⟨ĝ_k, g⟩ of each unit, (k, N) with (N,) to (k, U): U equal parts of a draw, in order."""
    if len(g) in (0, units):
        return rows * g
    parts = rows.view(len(rows), units, -1).transpose(0, 1)  # (U, k, N/U)
    return torch.bmm(parts, g.view(units, -1, 1)).squeeze(2).T


def units_of(g: Tensor) -> int:
    """The units of a tensor: its first axis, that of the outputs of a linear map."""
    return len(g) if g.ndim else 1


def squares_of_rows(rows: Tensor) -> Tensor:
    """‖x‖² of each row, (K, N) to (K,), without a table of the squares."""
    return torch.linalg.vector_norm(rows, dim=1).square()
