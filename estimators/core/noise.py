"""Noise with independent entries of mean 0 and variance 1, or on a sphere.

Random numbers dominate a perturbed step on large layers. 64 signs come from one 64-bit draw
through a table of bytes, several times faster than as many normals.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

import torch
from torch import Generator, Tensor

from estimators.core.vectors import scale_each_, squared_lengths

Noise = Literal["rademacher", "normal", "sphere"]
"""Independent signs, independent normals, or a direction of length √d."""


def noise(like: Tensor, kind: Noise, rng: Generator) -> Tensor:
    """A tensor of noise, shaped and laid out as `like`; a sphere spans the whole tensor."""
    if kind == "rademacher":
        return _signs(like, rng)
    v = torch.empty_like(like, requires_grad=False).normal_(generator=rng)
    return v if kind == "normal" else v.mul_(math.sqrt(v.numel()) / torch.linalg.vector_norm(v))


def tangents(params: Mapping[str, Tensor], kind: Noise, rng: Generator) -> list[Tensor]:
    """One direction in the space of all parameters; a sphere spans all of them together."""
    return [v[0] for v in stacked_tangents(params, kind, rng, 1)]


def stacked_tangents(
    params: Mapping[str, Tensor], kind: Noise, rng: Generator, count: int
) -> list[Tensor]:
    """K directions at once, (K, *shape) for each parameter: the bits of K draws in turn."""
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


def _signs(like: Tensor, rng: Generator) -> Tensor:
    return _signs_of([like], rng, 1)[0][0]


def sign_bytes(like: Sequence[Tensor], rng: Generator, count: int) -> tuple[Tensor, ...]:
    """K directions of signs before they are numbers: (K, ⌈d_l/8⌉) bytes for each tensor.

    Bit j of byte i is the sign of entry 8i + j, 1 for +1; bits behind the last entry mean nothing.
    """
    drawn, lengths = _bytes(like, rng, count)
    return drawn.split(lengths, 1)


def _bytes(like: Sequence[Tensor], rng: Generator, count: int) -> tuple[Tensor, list[int]]:
    """All tensors' bytes, (K, bytes), and how many are whose."""
    lengths = [-(-t.numel() // 8) for t in like]
    words = -(-sum(lengths) // 8)
    draw = torch.empty(count, words, dtype=torch.int64, device=like[0].device)
    draw.random_(-(2**63), None, generator=rng)  # without bounds, the top bit would stay 0
    return draw.view(torch.uint8)[:, : sum(lengths)], lengths


def _signs_of(like: list[Tensor], rng: Generator, count: int) -> list[Tensor]:
    """±1 with equal odds. Each tensor has a storage of its own: dual numbers copy others'."""
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
