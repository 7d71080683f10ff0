"""The draws of a live probe: a few inner products of each, and a few sums of gradients.

Every statistic follows from ⟨ĝ_k, g⟩, ‖ĝ_k‖² and ‖ĝ_k − g‖², each computed from the draw itself,
and the inner products of the sums of blocks of the errors ĝ_k − g. They add over tensors: a stage's
are the sums of its tensors'. A draw that is not finite in a tensor is left out of that tensor, and
of the groups that it is in. All of it is float64, and stays on the device until the whole probe is
moved in one piece.

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
from estimators.measurement.draws.rows import squares_of_rows, unit_products, units_of
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
    errors: Tensor
    """‖ĝ_k − g‖², (K, T)."""
    flipped: Tensor
    """Σ ⟨ĝ_k, g⟩² over the units of a tensor, (K, T)."""
    exact: Tensor
    """‖g‖², (T,)."""
    blocks: Tensor
    """⟨S_a, S_b⟩ of the sums S of the errors in M blocks: draw k is in block k mod M, (T, M, M)."""
    of_units: Tensor
    """Σ d², Σ d e and Σ e² over the units of a tensor, d = ⟨Σ_k ĝ_k − g, g⟩ and e = ‖g‖² of a unit:
    (T, 3)."""

    @property
    def finite(self) -> Tensor:
        """Which draws are finite in which tensor, (K, T)."""
        return self.dots.isfinite() & self.squares.isfinite() & self.errors.isfinite()

    def summary(self, groups: Tensor) -> Summary:
        """What the measures of groups of tensors are made of; `groups` is 0/1, (T, G)."""
        good = self.finite
        dots, squares, errors, flipped = (
            torch.where(good, x, torch.nan)
            for x in (self.dots, self.squares, self.errors, self.flipped)
        )
        count, alive = good.sum(0), self._block_counts(good)
        offset = over(self.blocks.sum((1, 2)), count.square())  # ‖ḡ − g‖²
        trace = over(count * clean(mean(errors) - offset, mean(errors)), count - 1)
        # By Σ‖ĝ_k − ḡ‖² = Σ‖ĝ_k‖² − K‖ḡ‖²; a difference of numbers that are not much larger.
        around = torch.where(count > 1, trace * (count - 1), 0.0)
        second = (mean(squares) - over(around, count)).clamp(min=0)  # ‖ḡ‖²
        gram = (self._means(alive).movedim(0, -1) @ groups).movedim(-1, 0)
        whole = ((alive > 0).double() @ groups == groups.sum(0)).T
        dots, squares, errors, flipped, exact, along, second, offset, trace, noise = (
            grouped(x, groups)
            for x in (
                dots, squares, errors, flipped, self.exact, mean(dots), second, offset, trace,
                over(trace, count),
            )
        )  # fmt: skip
        bias = _pair_variance(gram, whole)
        # ⟨ḡ, g⟩ of a unit is d / K + e.
        off, both, own = self.of_units.T
        flipped_mean = grouped(over(off, count.square()) + 2 * over(both, count) + own, groups)
        return Summary(
            dots, squares, errors, exact, along, second, offset, trace, noise, bias, flipped,
            flipped_mean,
        )  # fmt: skip

    def _block_counts(self, good: Tensor) -> Tensor:
        """How many draws are in each block, (M, T)."""
        m = self.blocks.shape[-1]
        zero = self.dots.new_zeros(m, good.shape[1])
        return zero.index_add_(0, torch.arange(len(good)) % m, good.to(zero))

    def _means(self, counts: Tensor) -> Tensor:
        """⟨x̄_a − g, x̄_b − g⟩ of the block means, (T, M, M)."""
        n = counts.clamp(min=1).T
        return self.blocks / (n.unsqueeze(1) * n.unsqueeze(2))


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
        self._units = [units_of(t) for t in exact.values()]
        self._draws = draws
        g = torch.cat([t.reshape(-1) for t in exact.values()]).double()
        self._blocks = min(draws, BLOCKS, max(4, ELEMENTS // max(1, len(g))))
        self._chunk = self._blocks if self._blocks * len(g) <= ELEMENTS else 1
        self._exact, self._rows = g, g.new_empty(self._chunk, len(g))
        self._sums = None if self._chunk == draws else g.new_empty(self._blocks, len(g))
        self._views = [
            [piece.view(t.shape) for piece, t in zip(pieces, exact.values(), strict=True)]
            for pieces in (row.split(self._sizes) for row in self._rows)
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
                rows = self._rows[: row + 1]
                kept.append(self._numbers(rows))
                self._leave_out(rows, kept[-1][2])
                if self._sums is not None:
                    block = (k - row) % self._blocks
                    self._sums[block : block + row + 1] += rows
        exact = [(g @ g).view(1) for g in self._exact.split(self._sizes)]
        summed = self._rows if self._sums is None else self._sums
        blocks = self._products(summed).reshape(len(self._names), -1)
        parts = [torch.stack(exact), *torch.cat(kept, 2), self._of_units(summed.sum(0)), blocks]
        return torch.cat(parts, 1).reshape(-1)

    def _numbers(self, rows: Tensor) -> Tensor:
        """⟨ĝ, g⟩, ‖ĝ‖², ‖ĝ − g‖² and Σ ⟨ĝ, g⟩² over units of k draws, (4, T, k).

        The rows hold ĝ − g afterwards.
        """
        pairs = list(zip(rows.split(self._sizes, 1), self._exact.split(self._sizes), strict=True))
        dots = torch.stack([piece @ g for piece, g in pairs])
        units = zip(pairs, self._units, strict=True)
        flipped = torch.stack(
            [unit_products(piece, g, count).square().sum(1) for (piece, g), count in units]
        )
        lengths = torch.stack([squares_of_rows(piece) for piece, _ in pairs])
        rows -= self._exact
        errors = torch.stack([squares_of_rows(piece) for piece, _ in pairs])
        return torch.stack([dots, lengths, errors, flipped])

    def _of_units(self, total: Tensor) -> Tensor:
        """Σ d², Σ d e and Σ e² over units, of the sum of all errors, (N,): (T, 3)."""
        pairs = zip(total.split(self._sizes), self._exact.split(self._sizes), strict=True)
        rows = []
        for (errors, g), count in zip(pairs, self._units, strict=True):
            d, e = unit_products(torch.stack([errors, g]), g, count)
            rows.append(torch.stack([d @ d, d @ e, e @ e]))
        return torch.stack(rows)

    def _leave_out(self, rows: Tensor, errors: Tensor) -> None:
        """Clear what is not finite, tensor by tensor, so that it spoils no sum."""
        for piece, bad in zip(rows.split(self._sizes, 1), ~errors.isfinite(), strict=True):
            piece.masked_fill_(bad.unsqueeze(1), 0.0)

    def _products(self, rows: Tensor) -> Tensor:
        """The inner products of the rows, tensor by tensor: (T, R, R)."""
        return torch.stack([piece @ piece.T for piece in rows.split(self._sizes, 1)])

    def unpack(self, flat: Tensor) -> Sums:
        """What `take` gave, once it is on the CPU."""
        k, m = self._draws, self._blocks
        table = flat.view(len(self._names), -1)
        sizes = [1, k, k, k, k, 3, m * m]
        exact, dots, squares, errors, flipped, of_units, blocks = table.split(sizes, 1)
        blocks = blocks.reshape(-1, m, m)
        if self._sums is None:  # each draw is a block, and the products hold it as it came
            blocks = torch.where(blocks.isfinite(), blocks, 0.0)
        return Sums(dots.T, squares.T, errors.T, flipped.T, exact.squeeze(1), blocks, of_units)
