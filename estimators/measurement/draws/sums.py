"""The draws of a live probe: a few inner products of each, and a few sums of gradients.

Every statistic follows from ⟨ĝ_k, g⟩, ‖ĝ_k‖² and the inner products of the sums of blocks of
draws. They add over tensors: a stage's are the sums of its tensors'. A draw that is not finite in a
tensor is left out of that tensor, and of the groups that it is in. All of it is float64, and
stays on the device until the whole probe is moved in one piece.

`estimators.measurement.draws.moments` takes any number of draws: it can be merged, shown while it
grows, and gives intervals. A live probe needs none of that: it has few draws, whose number is known
beforehand, and may use a tenth of the run's time. For 16 draws of a small network this module takes
less than half as long, and it waits for a GPU once instead of once for every tensor.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.core.vectors import copy_
from estimators.measurement.draws.summary import Summary, clean, grouped, mean, over

BLOCKS = 64
ELEMENTS = 2**22
"""Largest matrix of block sums, in float64 numbers: 32 MiB. Large networks keep 4 blocks."""


@dataclass(frozen=True, eq=False)
class Sums:
    """K draws of T tensors, on the CPU, in float64."""

    dots: Tensor
    """⟨ĝ_k, g⟩, (K, T)."""
    squares: Tensor
    """‖ĝ_k‖², (K, T)."""
    exact: Tensor
    """‖g‖², (T,)."""
    blocks: Tensor
    """⟨S_a, S_b⟩ of the sums S of M blocks: draw k is in block k mod M, (T, M, M)."""

    def summary(self, groups: Tensor) -> Summary:
        """What the measures of groups of tensors are made of; `groups` is 0/1, (T, G)."""
        good = self.dots.isfinite() & self.squares.isfinite()
        dots, squares = (torch.where(good, x, torch.nan) for x in (self.dots, self.squares))
        count, alive = good.sum(0), self._block_counts(good)
        total = torch.where(good, dots, 0.0).sum(0)
        second = over(self.blocks.sum((1, 2)), count.square())  # ‖ḡ‖²
        trace = over(count * clean(mean(squares) - second, mean(squares)), count - 1)
        gram = (self._errors(dots, alive).movedim(0, -1) @ groups).movedim(-1, 0)
        whole = ((alive > 0).double() @ groups == groups.sum(0)).T
        dots, squares, exact, along, second, trace, noise = (
            grouped(x, groups)
            for x in (
                dots, squares, self.exact, over(total, count), second, trace, over(trace, count)
            )
        )  # fmt: skip
        bias = _pair_variance(gram, whole)
        return Summary(dots, squares, exact, along, second, trace, noise, bias)

    def _block_counts(self, good: Tensor) -> Tensor:
        """How many draws are in each block, (M, T)."""
        m = self.blocks.shape[-1]
        zero = self.dots.new_zeros(m, good.shape[1])
        return zero.index_add_(0, torch.arange(len(good)) % m, good.to(zero))

    def _errors(self, dots: Tensor, counts: Tensor) -> Tensor:
        """⟨x̄_a − g, x̄_b − g⟩ of the block means, (T, M, M)."""
        block = torch.arange(len(dots)) % len(counts)
        sums = torch.zeros_like(counts).index_add_(0, block, dots.nan_to_num())
        n = counts.clamp(min=1).T
        along = sums.T / n  # ⟨x̄_a, g⟩, (T, M)
        means = self.blocks / (n.unsqueeze(1) * n.unsqueeze(2))
        return means - along.unsqueeze(1) - along.unsqueeze(2) + self.exact.view(-1, 1, 1)


def _pair_variance(gram: Tensor, alive: Tensor) -> Tensor:
    """The variance of the mean of h_ab = ⟨x_a, x_b⟩ over pairs a ≠ b of blocks with a draw, (G,).

    Hoeffding's (1948) form for a statistic of pairs: (4 (M − 2) ζ₁ + 2 ζ₂) / (M (M − 1)),
    ζ₁ the covariance of two pairs that share a block, ζ₂ the variance of a pair.
    """
    m = alive.sum(1)
    off = alive.unsqueeze(1) & alive.unsqueeze(2) & ~torch.eye(gram.shape[-1], dtype=torch.bool)
    pairs = m * (m - 1)
    mean = over(torch.where(off, gram, 0.0).sum((1, 2)), pairs)
    h = torch.where(off, gram - mean.view(-1, 1, 1), 0.0)
    own = h.square().sum((1, 2))
    shared = over(h.sum(2).square().sum(1) - own, pairs * (m - 2))
    return over(4 * (m - 2) * shared.clamp(min=0) + 2 * own / pairs, pairs)


class Accumulator:
    """Sums up draws, given one at a time, in the memory of a few gradients.

    One accumulator serves one estimator after another: its matrices are used again.
    """

    def __init__(self, exact: Mapping[str, Tensor], draws: int) -> None:
        self._names = list(exact)
        self._sizes = [t.numel() for t in exact.values()]
        self._draws = draws
        g = torch.cat([t.reshape(-1) for t in exact.values()]).double()
        self._blocks = min(draws, BLOCKS, max(4, ELEMENTS // max(1, len(g))))
        self._chunk = self._blocks if self._blocks * len(g) <= ELEMENTS else 1
        self._rows = g.new_empty(self._chunk + 1, len(g))
        self._rows[0] = g  # so that one matrix product gives every inner product
        self._sums = None if self._chunk == draws else g.new_empty(self._blocks, len(g))
        self._views = [
            [piece.view(t.shape) for piece, t in zip(pieces, exact.values(), strict=True)]
            for pieces in (row.split(self._sizes) for row in self._rows[1:])
        ]

    def take(self, draws: Iterable[Mapping[str, Tensor]]) -> Tensor:
        """What is kept of `draws`, in one tensor on the device; `unpack` reads it."""
        if self._sums is not None:
            self._sums.zero_()
        kept: list[Tensor] = []
        for k, grads in enumerate(draws):
            row = k % self._chunk
            copy_(self._views[row], [grads[name] for name in self._names])
            if row == self._chunk - 1 or k == self._draws - 1:
                kept.append(self._products(self._rows[: row + 2]))
                if self._sums is not None:
                    self._leave_out(kept[-1], row + 1)
                    block = (k - row) % self._blocks
                    self._sums[block : block + row + 1] += self._rows[1 : row + 2]
        blocks = kept[0][:, 1:, 1:] if self._sums is None else self._products(self._sums)
        parts = [
            kept[0][:, 0, :1],
            torch.cat([product[:, 0, 1:] for product in kept], 1),
            torch.cat([product.diagonal(dim1=1, dim2=2)[:, 1:] for product in kept], 1),
            blocks.reshape(len(self._names), -1),
        ]
        return torch.cat(parts, 1).reshape(-1)

    def _leave_out(self, products: Tensor, rows: int) -> None:
        """Clear what is not finite, tensor by tensor, so that it spoils no sum."""
        bad = ~products.diagonal(dim1=1, dim2=2)[:, 1:].isfinite()  # (T, rows)
        for piece, rows_ in zip(self._rows[1 : rows + 1].split(self._sizes, 1), bad, strict=True):
            piece.masked_fill_(rows_.unsqueeze(1), 0.0)

    def _products(self, rows: Tensor) -> Tensor:
        """The inner products of the rows, tensor by tensor: (T, R, R)."""
        return torch.stack([piece @ piece.T for piece in rows.split(self._sizes, 1)])

    def unpack(self, flat: Tensor) -> Sums:
        """What `take` gave, once it is on the CPU."""
        k, m = self._draws, self._blocks
        table = flat.view(len(self._names), -1)
        exact, dots, squares, blocks = table.split([1, k, k, m * m], 1)
        blocks = blocks.reshape(-1, m, m)
        if self._sums is None:  # each draw is a block, and the products hold it as it came
            blocks = torch.where(blocks.isfinite(), blocks, 0.0)
        return Sums(dots.T, squares.T, exact.squeeze(1), blocks)
