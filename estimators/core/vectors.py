"""Arithmetic on a vector that is kept as a list of tensors, with one kernel call for all of them.

The optimisers in torch use the same `_foreach` functions, which torch does not list as public.
"""
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable

import torch
from torch import Tensor

Vector = list[Tensor] | tuple[Tensor, ...]


def dense(t: Tensor) -> Tensor:
    """The tensor with its zeros stored, which the gradient of a sparse embedding leaves out."""
    return t if t.layout is torch.strided else t.to_dense()


def scale_(v: Vector, factor: Tensor | float) -> None:
    """v ← factor · v."""
    torch._foreach_mul_(v, factor)  # type: ignore[call-overload]


def plus(v: Vector, w: Vector, factor: float = 1.0) -> list[Tensor]:
    """v + factor · w."""
    return list(torch._foreach_add(v, w, alpha=factor))


def add_(v: list[Tensor], w: Vector) -> list[Tensor]:
    """v ← v + w."""
    torch._foreach_add_(v, w)
    return v


def copy_(target: Vector, source: Vector) -> None:
    """target ← source, cast to target's dtype."""
    torch._foreach_copy_(target, source)


def squared_norms(v: Vector) -> Tensor:
    """‖v_l‖² of each of the T tensors, (T,)."""
    return torch.stack(torch._foreach_norm(v)).square()


def norm(v: Vector) -> Tensor:
    """The Euclidean norm of all entries together, ()."""
    return squared_norms(v).sum().sqrt()


def mean_over_draws(draw: Callable[[], list[Tensor]], count: int) -> list[Tensor]:
    """1/K Σ_k v_k over K draws of v. The tensors drawn are overwritten."""
    total = draw()
    for _ in range(count - 1):
        torch._foreach_add_(total, draw())
    if count > 1:
        torch._foreach_div_(total, float(count))
    return total


def as_rows(stack: Tensor) -> Tensor:
    """(K, *shape) as (K, numbers), also where an entry is a single number or has none."""
    return stack.reshape(len(stack), stack[0].numel())


def squared_lengths(stack: Vector) -> Tensor:
    """‖v_k‖² of K vectors, each kept as tensors (K, ...): (K,)."""
    lengths = [torch.linalg.vector_norm(as_rows(t), dim=1) for t in stack]
    return torch.stack(lengths).square().sum(0)


def scale_each_(stack: Vector, factors: Tensor) -> None:
    """v_k ← c_k v_k, for factors (K,)."""
    for t in stack:
        t.mul_(factors.to(t.dtype).view(-1, *[1] * (t.ndim - 1)))


def weighted_sum(stack: Vector, weights: Tensor) -> list[Tensor]:
    """Σ_k c_k v_k, for weights (K,). A single vector is scaled in place, without a copy."""
    if len(weights) == 1:
        single = [t[0] for t in stack]
        scale_(single, weights[0])
        return single
    rows = [as_rows(t) for t in stack]
    return [(weights.to(v.dtype) @ v).view(t.shape[1:]) for v, t in zip(rows, stack, strict=True)]


def span_weights(stack: Vector, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Return (w, r): Σ_k w_k v_k projects g onto the span, given the slopes v_k·g; r is its rank.

    w = (VVᵀ)⁺ V g for K directions V (K, d), kept as tensors (K, ...). In double precision,
    because a Gram matrix squares the condition number.
    """
    rows = [t.reshape(len(t), -1) for t in stack]
    gram = torch.stack([(v @ v.T).double() for v in rows]).sum(0)
    values, vectors = torch.linalg.eigh(gram)
    # Gram entries are sums of d products in the directions' precision: smaller values are rounding.
    floor = values[-1] * torch.finfo(rows[0].dtype).eps * max(len(gram), 8)
    live = values > floor
    inverse = torch.where(live, 1 / values.where(live, torch.ones_like(values)), 0.0)
    weights = vectors @ (inverse * (vectors.T @ slopes.double()))
    return weights.to(slopes.dtype), live.sum()
