"""The projection of a target t on a guess s, unit by unit: ĝ_u = ⟨t_u, s_u⟩ s_u / ‖s_u‖².

A block's vectors are tensors by name. A unit is one of these tensors, or, with `by_example`, one
row of it: (B, *shape).
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

Vectors = Mapping[str, Tensor]
Coefficients = Mapping[str, Tensor]
"""⟨t_u, s_u⟩ of each unit: (), or (B,) by example."""


def products(t: Vectors, s: Vectors, by_example: bool) -> dict[str, Tensor]:
    """⟨t_u, s_u⟩ of each unit, () or (B,)."""
    return {name: _dot(t[name], v, by_example) for name, v in s.items()}


class Projected(NamedTuple):
    """The estimate's vectors, and how many units have no usable guess."""

    vectors: dict[str, Tensor]
    zeros: dict[str, Tensor]
    """By tensor, the number of units whose guess has length zero, ()."""
    nonfinite: dict[str, Tensor]
    """By tensor, the number of units whose guess has a length that is not finite, ()."""


def along_guess(c: Coefficients, s: Vectors, *, by_example: bool, divide: bool) -> Projected:
    """c_u s_u, divided by ‖s_u‖² for a projection. A unit whose guess is zero contributes zero."""
    result = Projected({}, {}, {})
    for name, v in s.items():
        square = _dot(v, v, by_example)
        result.zeros[name] = (square == 0).sum()
        result.nonfinite[name] = (~square.isfinite()).sum()
        factor = c[name]
        if divide:
            factor = torch.where(square == 0, torch.zeros_like(square), factor / square)
        result.vectors[name] = (_rowwise(factor, v) * at_least_single(v)).to(v.dtype)
    return result


def at_least_single(v: Tensor) -> Tensor:
    """The numbers in float32 where they are of half precision: their squares would underflow."""
    return v.float() if v.dtype in (torch.float16, torch.bfloat16) else v


def _dot(a: Tensor, b: Tensor, by_example: bool) -> Tensor:
    a, b = at_least_single(a), at_least_single(b)
    if not by_example:
        return (a * b).sum()
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))


def _rowwise(factor: Tensor, v: Tensor) -> Tensor:
    return factor.reshape(factor.shape + (1,) * (v.ndim - factor.ndim))
