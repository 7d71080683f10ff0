"""Inner products of a gradient with many vectors of signs, computed from the signs' bits.

With b the bits and s = 2b − 1 the signs, ⟨g, s⟩ = 2⟨g, b⟩ − Σ g. Bits become numbers in pieces that
stay in the processor's cache, so that no tangent is held in memory.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from estimators.core.noise import sign_bytes

CACHED = 2**17
"""Numbers that bits become at a time on a CPU: half a MiB in float32."""
LARGE = 2**24
"""The same on an accelerator, where many small pieces would be slower."""


def sign_products(exact: Sequence[Tensor], count: int, rng: Generator) -> Tensor:
    """⟨g_l, s_kl⟩ for `count` directions of signs, (K, T), in float64.

    The directions equal those of `noise.stacked_tangents` with the same `rng`.
    """
    bits = sign_bytes(exact, rng, count)
    unpacked = _Unpacked(count, max(b.shape[1] for b in bits), exact[0])
    products = [unpacked.times(b, _by_bit(g)) for b, g in zip(bits, exact, strict=True)]
    totals = torch.stack([g.sum(dtype=torch.float64) for g in exact])
    return torch.stack(products, 1) - totals


class _Unpacked:
    """Bits as numbers, in memory that is reused: bit j of a byte is 2^j or 0."""

    def __init__(self, count: int, longest: int, like: Tensor) -> None:
        most = CACHED if like.device.type == "cpu" else LARGE
        self._size = min(longest, max(1, most // (8 * count)))
        self._masks = _masks(like.device)
        self._bits = torch.empty(count * 8 * self._size, dtype=torch.uint8, device=like.device)
        self._numbers = torch.empty_like(self._bits, dtype=_accumulated(like))

    def times(self, bits: Tensor, weights: Tensor) -> Tensor:
        """Bits (K, n) by weights (8, n): (K,), in float64."""
        count, sums = len(bits), []
        for piece, h in zip(bits.split(self._size, 1), weights.split(self._size, 1), strict=True):
            shape = count, 8, piece.shape[1]
            size = count * h.numel()
            masked, x = self._bits[:size], self._numbers[:size]
            torch.bitwise_and(piece.contiguous().unsqueeze(1), self._masks, out=masked.view(shape))
            x.copy_(masked)
            sums.append(x.view(count, -1) @ h.reshape(-1))
        return torch.stack(sums).sum(0, dtype=torch.float64)


def _by_bit(g: Tensor) -> Tensor:
    """2 g / 2^j of the entries whose sign is bit j of a byte, (8, bytes)."""
    eights = pad(g.reshape(-1), (0, -g.numel() % 8)).to(_accumulated(g)).view(-1, 8)
    return (eights * (2.0 / _masks(g.device).view(8))).T


def _accumulated(g: Tensor) -> torch.dtype:
    """The type in which products of g are summed."""
    return torch.promote_types(g.dtype, torch.float32)


@cache
def _masks(device: torch.device) -> Tensor:
    """1, 2, 4 … 128: the bits of a byte, (8, 1)."""
    return torch.tensor([1 << j for j in range(8)], dtype=torch.uint8, device=device).view(8, 1)
