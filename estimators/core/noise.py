"""Random numbers: keyed streams, directions in the space of the weights, signs for activations.

Noise has independent entries of mean 0 and variance 1, or lies on a sphere. Random numbers
dominate a perturbed step on large layers, so signs are made from the bits of random words: for
weights through a table of bytes, for activations by shifting each bit to a float's sign.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

import torch
from torch import Generator, Tensor

from estimators.core.vectors import scale_each_, squared_lengths

Noise = Literal["rademacher", "normal", "sphere"]
"""Independent signs, independent normals, or a direction of length √d."""

Purpose = Literal["init", "data", "augment", "pass", "estimator", "probe"]
"""What the random numbers of a stream are used for."""

_FLOAT_LAYOUTS = {
    torch.float32: (torch.int32, 0x3F800000),
    torch.float64: (torch.int64, 0x3FF0000000000000),
}
"""The integer as wide as a float, and the bits of 1.0."""


def stream(
    seed: int, purpose: Purpose, *key: int | str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return the generator of `purpose` at `key` (a step, an epoch, an estimator's label).

    Each (seed, purpose, key) has a generator of its own. Two runs of one seed then share
    everything but the estimator's noise, a probe disturbs nothing, and a resumed run draws what
    an uninterrupted one would have drawn.
    """
    return torch.Generator(device).manual_seed(stream_seed(seed, purpose, *key))


def stream_seed(seed: int, purpose: Purpose, *key: int | str) -> int:
    """The seed of the generator that `stream` returns, a number of 63 bits."""
    text = "/".join(map(str, (seed, purpose, *key)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1  # manual_seed takes 63 bits


def noise(like: Tensor, kind: Noise, rng: Generator) -> Tensor:
    """A tensor of noise, shaped and laid out as `like`; a sphere spans the whole tensor."""
    if kind == "rademacher":
        return _signs_of([like], rng, 1)[0][0]
    v = torch.empty_like(like, requires_grad=False).normal_(generator=rng)
    return v if kind == "normal" else v.mul_(math.sqrt(v.numel()) / torch.linalg.vector_norm(v))


def tangents(params: Mapping[str, Tensor], kind: Noise, rng: Generator) -> list[Tensor]:
    """One direction in the space of all parameters; a sphere spans all of them together."""
    return [v[0] for v in stacked_tangents(params, kind, rng, 1)]


def stacked_tangents(
    params: Mapping[str, Tensor], kind: Noise, rng: Generator, count: int
) -> list[Tensor]:
    """K directions at once, (K, *shape) for each parameter, equal in bits to K draws in turn."""
    like = list(params.values())
    if kind == "rademacher":
        return _signs_of(like, rng, count)
    v = [_stack_like(p, count) for p in like]
    for k in range(count):
        for t in v:
            t[k].normal_(generator=rng)
    if kind == "sphere":
        size = sum(p.numel() for p in like)
        scale_each_(v, (size / squared_lengths(v)).sqrt())
    return v


def kurtosis(kind: Noise) -> float:
    """κ₄ in E (v·g)² ‖v‖² = (d + κ₄ − 1) ‖g‖²: E v_i⁴; 1 on the sphere, where ‖v‖² = d."""
    return 3.0 if kind == "normal" else 1.0


def sign_bytes(like: Sequence[Tensor], rng: Generator, count: int) -> tuple[Tensor, ...]:
    """K directions of signs as bits: (K, ⌈d_l/8⌉) bytes for each tensor.

    Bit j of byte i is the sign of entry 8i + j, 1 for +1. Bits after the last entry are unused.
    """
    drawn, lengths = _bytes(like, rng, count)
    return drawn.split(lengths, 1)


def _bytes(like: Sequence[Tensor], rng: Generator, count: int) -> tuple[Tensor, list[int]]:
    """The bytes of all tensors side by side, (K, bytes), and the number of each tensor's."""
    lengths = [-(-t.numel() // 8) for t in like]
    words = -(-sum(lengths) // 8)
    draw = torch.empty(count, words, dtype=torch.int64, device=like[0].device)
    draw.random_(-(2**63), None, generator=rng)  # without bounds, the top bit would stay 0
    return draw.view(torch.uint8)[:, : sum(lengths)], lengths


def _signs_of(like: list[Tensor], rng: Generator, count: int) -> list[Tensor]:
    """±1 with equal odds. Each tensor has a storage of its own: dual numbers copy shared ones."""
    drawn, lengths = _bytes(like, rng, count)
    return [
        _shaped(_table(t.dtype, t.device).index_select(0, piece.reshape(-1)), t, count)
        for piece, t in zip(drawn.int().split(lengths, 1), like, strict=True)
    ]


def _shaped(signs: Tensor, like: Tensor, count: int) -> Tensor:
    flat = signs.view(count, -1)
    if flat.shape[1] != like.numel():
        flat = flat[:, : like.numel()].clone(memory_format=torch.contiguous_format)
    v = flat.view(count, *like.shape)
    return v if like.is_contiguous() else _stack_like(like, count).copy_(v)


def _stack_like(like: Tensor, count: int) -> Tensor:
    """(K, *shape), each laid out as `like`."""
    if like.is_contiguous():
        return like.new_empty((count, *like.shape))
    strides = torch.empty_like(like).stride()
    return like.new_empty_strided((count, *like.shape), (like.numel(), *strides))


@cache
def _table(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The signs that each byte stands for, (256, 8)."""
    bits = torch.arange(256).unsqueeze(1) >> torch.arange(8) & 1
    return (bits * 2 - 1).to(device, dtype)


def signs(count: int, dtype: torch.dtype, device: torch.device, rng: Generator) -> Tensor:
    """±1 with equal odds, (count,), cheap enough for noise on every activation.

    One random word gives as many signs as it has bits: each bit is shifted to the sign bit of a
    float whose other bits are those of 1.0.
    """
    if dtype not in _FLOAT_LAYOUTS:
        return signs(count, torch.float32, device, rng).to(dtype)
    integer, low, shifts, sign, unit = _float_bits(dtype, device)
    words = torch.empty(-(-count // shifts.shape[0]), dtype=integer, device=device)
    words.random_(low, None, generator=rng)  # without bounds, the top bit would stay 0
    v = (words << shifts).bitwise_and_(sign).bitwise_or_(unit).view(-1).view(dtype)
    return v if v.shape[0] == count else v[:count]


@cache
def _float_bits(
    dtype: torch.dtype, device: torch.device
) -> tuple[torch.dtype, int, Tensor, Tensor, Tensor]:
    """(integer type, its minimum, each bit's distance from the sign bit, the sign bit, 1.0)."""
    integer, unit = _FLOAT_LAYOUTS[dtype]
    info = torch.iinfo(integer)
    constants = [
        torch.tensor(n, dtype=integer, device=device)
        for n in ([[i] for i in range(info.bits)], info.min, unit)
    ]
    return integer, info.min, constants[0], constants[1], constants[2]
