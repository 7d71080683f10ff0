"""Many draws at once of the forward gradient: honest, and by projecting the exact gradient."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from estimators.core.contract import Params, UnsupportedError
from estimators.core.noise import Noise, kurtosis, stacked_tangents
from estimators.core.objective import Objective
from estimators.core.vectors import add_, scale_each_, squared_lengths
from estimators.measurement.draws.moments import as_rows
from estimators.measurement.draws.sign_products import sign_products
from estimators.perturbation._directions.slopes import portions, slopes
from estimators.perturbation.forward_gradient import ForwardGradient

Stack = dict[str, Tensor]
"""Draws side by side, (k, *shape) for each parameter."""
Make = Callable[[int], Stack]
"""k -> the next k draws."""
Slopes = Callable[[list[Tensor]], Tensor]
MOST = 2**24
"""Numbers that the tangents of one call may take: 64 MiB in float32."""
CACHED = 2**20
"""The same where they are read once more and dropped: 4 MiB."""


def weight_draws(
    estimator: ForwardGradient,
    objective: Objective,
    params: Params,
    state: Any,
    rng: Generator,
    exact: Params | None,
) -> Make | None:
    """The draws of `estimate` from the same `rng`; given `exact`, without a forward pass."""
    if estimator.combine != "mean" or estimator.per != "batch":
        return None
    size, tangents = sum(p.numel() for p in params.values()), estimator.tangents

    def along(v: list[Tensor]) -> Tensor:
        return _honest(objective, params, v) if exact is None else _projected(exact, v)

    def weighted(count: int) -> tuple[list[Tensor], Tensor]:
        v = stacked_tangents(params, estimator.noise, rng, count)
        c = along(v)
        if estimator.scale == "projected":
            c = c / squared_lengths(v)
        elif estimator.scale == "shukla_shin":
            c = c / (size + kurtosis(estimator.noise) - 1)
        return v, c / tangents

    def make(count: int) -> Stack:
        if tangents == 1:
            v, c = weighted(count)
            scale_each_(v, c)
            return dict(zip(params, v, strict=True))
        if tangents * size > MOST:  # one draw at a time, its tangents in portions
            each = [_summed(weighted, tangents, max(1, MOST // size)) for _ in range(count)]
            grads = [torch.stack(t) for t in zip(*each, strict=True)]
            return dict(zip(params, grads, strict=True))
        v, c = weighted(count * tangents)
        mixed = [
            torch.bmm(c.to(t.dtype).view(count, 1, -1), t.reshape(count, tangents, -1)) for t in v
        ]
        found = zip(params.items(), mixed, strict=True)
        return {name: m.view(count, *p.shape) for (name, p), m in found}

    return make


def _honest(objective: Objective, params: Params, v: list[Tensor]) -> Tensor:
    """∇L·v_k, (K,), as many at once as fit into memory with their activations."""
    count = len(v[0])
    sizes = list(portions(count, objective, params))
    parts = zip(*(t.split(sizes) for t in v), strict=True)
    return torch.cat([slopes(objective, params, list(part))[1] for part in parts])


def _projected(exact: Params, v: list[Tensor]) -> Tensor:
    """⟨g, v_k⟩, (K,)."""
    pairs = zip(v, exact.values(), strict=True)
    return torch.stack([t.reshape(len(t), -1) @ g.reshape(-1) for t, g in pairs]).sum(0)


def oracle_numbers(
    estimator: ForwardGradient, params: Params, exact: Params, count: int, rng: Generator
) -> tuple[Tensor, Tensor]:
    """(⟨ĝ_k, g⟩, ‖ĝ_k‖²) of each tensor, (K, T), by streaming products: no ĝ is made.

    For one tangent a draw, raw. For cosines and norms of one's own in numbers that no ĝ has room
    for; `measure` and the microscope make the draws, since ḡ, and with it variance, bias and the
    cloud, does not follow from these numbers. Raises UnsupportedError for other forward gradients.
    """
    if estimator.tangents != 1 or estimator.scale != "raw" or estimator.per != "batch":
        raise UnsupportedError(
            "streaming products serve one raw tangent a draw, shared by the batch"
        )
    sizes = torch.tensor([float(g.numel()) for g in exact.values()], dtype=torch.float64)
    if estimator.noise == "rademacher":  # signs have the length √d
        slope, squares = _of_signs(list(exact.values()), count, rng), sizes
    else:
        slope, squares = _of_tangents(estimator.noise, params, exact, count, rng)
    total = slope.sum(1, keepdim=True)
    return total * slope, total.square() * squares.to(total.device)


def _of_signs(exact: list[Tensor], count: int, rng: Generator) -> Tensor:
    """⟨g, v_k⟩ of each tensor, (K, T)."""
    most = max(1, 8 * MOST // sum(g.numel() for g in exact))
    return torch.cat([sign_products(exact, some, rng) for some in _shares(count, most)])


def _of_tangents(
    noise: Noise, params: Params, exact: Params, count: int, rng: Generator
) -> tuple[Tensor, Tensor]:
    """(⟨g, v_k⟩, ‖v_k‖²) of each tensor, both (K, T)."""
    flat = [g.reshape(-1) for g in exact.values()]
    along, lengths = [], []
    # Tangents that stay in the processor's cache: more of them at once are slower.
    for some in _shares(count, max(1, CACHED // sum(map(len, flat)))):
        v = [as_rows(t) for t in stacked_tangents(params, noise, rng, some)]
        along.append(torch.stack([_along(t, g) for t, g in zip(v, flat, strict=True)], 1))
        lengths.append(torch.stack([_squares(t) for t in v], 1))
    return torch.cat(along).double(), torch.cat(lengths).double()


def _along(rows: Tensor, g: Tensor) -> Tensor:
    # A matrix of one row takes twice as long as a vector.
    return rows @ g if len(rows) > 1 else torch.dot(rows[0], g).view(1)


def _squares(rows: Tensor) -> Tensor:
    return torch.linalg.vecdot(rows, rows) if len(rows) > 1 else _along(rows, rows[0])


def _summed(
    weighted: Callable[[int], tuple[list[Tensor], Tensor]], count: int, most: int
) -> list[Tensor]:
    total: list[Tensor] = []
    for some in _shares(count, most):
        v, c = weighted(some)
        part = [torch.einsum("k,k...->...", c.to(t.dtype), t) for t in v]
        total = add_(total, part) if total else part
    return total


def _shares(count: int, most: int) -> Iterator[int]:
    while count > 0:
        yield min(count, most)
        count -= most
