"""Orthogonal projection onto the span of a few directions."""

import torch
from torch import Tensor

from estimators.core.vectors import Vector


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
