"""Many draws of a forward gradient at once: honest, or by projecting the exact gradient."""

from collections.abc import Callable, Iterator
from typing import get_args

import torch
from torch import Generator, Tensor

from estimators.core.contract import BatchedDraws, Params
from estimators.core.noise import Noise, stacked_tangents
from estimators.core.objective import Objective
from estimators.core.vectors import add_, as_rows, scale_each_, weighted_sum
from estimators.perturbation._directions.sign_products import sign_products
from estimators.perturbation._directions.slopes import (
    Coefficients,
    Sample,
    portions,
    slopes,
)

MAX_NUMBERS = 2**24
"""Numbers that the tangents of one call may take: 64 MiB in float32."""
MAX_CACHED_NUMBERS = 2**20
"""The same limit for tangents that are read once more and dropped: 4 MiB in float32."""


def weight_draws(
    objective: Objective,
    params: Params,
    exact: Params | None,
    sample: Sample,
    coefficients: Coefficients,
    tangents: int,
) -> BatchedDraws:
    """Return a function that makes k draws 1/K Σ_j c_j v_j, each from K directions of its own.

    `sample` draws the directions and `coefficients` gives c_j from the slopes ∇L·v_j. Given the
    exact gradient, the slopes are inner products with it and take no forward pass.
    """
    size = sum(p.numel() for p in params.values())

    def weighted(count: int) -> tuple[list[Tensor], Tensor]:
        v = sample(count)
        c = _pushed_forward(objective, params, v) if exact is None else _projected(exact, v)
        return v, coefficients(c, v) / tangents

    def batch(count: int) -> dict[str, Tensor]:
        if tangents == 1:
            v, c = weighted(count)
            scale_each_(v, c)
            return dict(zip(params, v, strict=True))
        if tangents * size <= MAX_NUMBERS:
            grads = _summed_in_groups(*weighted(count * tangents), tangents)
        else:  # one draw at a time, its tangents in portions
            most = max(1, MAX_NUMBERS // size)
            draws = [_summed(weighted, tangents, most) for _ in range(count)]
            grads = [torch.stack(t) for t in zip(*draws, strict=True)]
        return dict(zip(params, grads, strict=True))

    return batch


def oracle_numbers(
    noise: Noise, params: Params, exact: Params, count: int, rng: Generator
) -> tuple[Tensor, Tensor]:
    """(⟨ĝ_k, g⟩, ‖ĝ_k‖²) of each tensor for forward gradients of one raw tangent, both (K, T).

    The products are streamed and no ĝ is made, so that networks fit for which K gradients would
    not. Mean, variance and bias do not follow from these numbers; `measure` makes the draws.
    Raises ValueError for an unknown noise.
    """
    if noise not in get_args(Noise):
        raise ValueError(f"noise is {noise!r}; one of {', '.join(get_args(Noise))} is allowed")
    sizes = torch.tensor([float(g.numel()) for g in exact.values()], dtype=torch.float64)
    if noise == "rademacher":  # a vector of d signs has the squared length d
        slope, squares = _of_signs(list(exact.values()), count, rng), sizes
    else:
        slope, squares = _of_tangents(noise, params, exact, count, rng)
    total = slope.sum(1, keepdim=True)
    return total * slope, total.square() * squares.to(total.device)


def _pushed_forward(objective: Objective, params: Params, v: list[Tensor]) -> Tensor:
    """∇L·v_k, (K,), as many at once as fit into memory with their activations."""
    sizes = list(portions(len(v[0]), objective, params))
    parts = zip(*(t.split(sizes) for t in v), strict=True)
    return torch.cat([slopes(objective, params, list(part))[1] for part in parts])


def _projected(exact: Params, v: list[Tensor]) -> Tensor:
    """⟨g, v_k⟩, (K,)."""
    pairs = zip(v, exact.values(), strict=True)
    return torch.stack([as_rows(t) @ g.reshape(-1) for t, g in pairs]).sum(0)


def _summed_in_groups(v: list[Tensor], c: Tensor, size: int) -> list[Tensor]:
    """Σ_j c_j v_j over each group of `size` neighbours, (K / size, *shape) for each tensor."""
    c = c.view(-1, 1, size)
    sums = [torch.bmm(c.to(t.dtype), t.reshape(len(c), size, -1)) for t in v]
    return [total.view(len(c), *t.shape[1:]) for total, t in zip(sums, v, strict=True)]


def _summed(
    weighted: Callable[[int], tuple[list[Tensor], Tensor]], count: int, most: int
) -> list[Tensor]:
    total: list[Tensor] = []
    for size in _portions_of(count, most):
        part = weighted_sum(*weighted(size))
        total = add_(total, part) if total else part
    return total


def _of_signs(exact: list[Tensor], count: int, rng: Generator) -> Tensor:
    """⟨g, v_k⟩ of each tensor, (K, T)."""
    most = max(1, 8 * MAX_NUMBERS // sum(g.numel() for g in exact))
    return torch.cat([sign_products(exact, size, rng) for size in _portions_of(count, most)])


def _of_tangents(
    noise: Noise, params: Params, exact: Params, count: int, rng: Generator
) -> tuple[Tensor, Tensor]:
    """(⟨g, v_k⟩, ‖v_k‖²) of each tensor, both (K, T)."""
    flat = [g.reshape(-1) for g in exact.values()]
    along, lengths = [], []
    # Tangents that stay in the processor's cache: more of them at once are slower.
    for size in _portions_of(count, max(1, MAX_CACHED_NUMBERS // sum(map(len, flat)))):
        v = [as_rows(t) for t in stacked_tangents(params, noise, rng, size)]
        along.append(torch.stack([_along(t, g) for t, g in zip(v, flat, strict=True)], 1))
        lengths.append(torch.stack([_squares(t) for t in v], 1))
    return torch.cat(along).double(), torch.cat(lengths).double()


def _along(rows: Tensor, g: Tensor) -> Tensor:
    # A matrix of one row takes twice as long as a vector.
    return rows @ g if len(rows) > 1 else torch.dot(rows[0], g).view(1)


def _squares(rows: Tensor) -> Tensor:
    return torch.linalg.vecdot(rows, rows) if len(rows) > 1 else _along(rows, rows[0])


def _portions_of(count: int, most: int) -> Iterator[int]:
    while count > 0:
        yield min(count, most)
        count -= most
