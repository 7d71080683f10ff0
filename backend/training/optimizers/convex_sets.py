"""Convex sets that Frank–Wolfe keeps the weights in: nearest points and linear minimisation.

For a radius r: `l1_ball` ‖w‖₁ ≤ r, `l2_ball` ‖w‖₂ ≤ r, `linf_ball` max |w_i| ≤ r, and `simplex`
w_i ≥ 0, Σ w_i = r.
"""

from typing import Literal

import torch
from torch import Tensor

SetName = Literal["l1_ball", "l2_ball", "linf_ball", "simplex"]


def minimiser(kind: SetName, g: Tensor, radius: float) -> Tensor:
    """argmin ⟨g, s⟩ over the set, shaped as `g`: an extreme point of it.

    Where g is 0, every point is one; it is then 0 in a ball and the first corner of the simplex.
    """
    if kind == "linf_ball":
        return -radius * g.sign()
    if kind == "l2_ball":
        length = torch.linalg.vector_norm(g)
        return torch.where(length > 0, g / length, 0.0) * -radius
    flat = g.flatten()
    corner = torch.zeros_like(flat)
    best = (flat.abs() if kind == "l1_ball" else -flat).argmax()
    corner[best] = -radius * flat[best].sign() if kind == "l1_ball" else radius
    return corner.view(g.shape)


def nearest(kind: SetName, w: Tensor, radius: float) -> Tensor:
    """The point of the set that is nearest to `w`; a point of the set is returned as it is."""
    if kind == "linf_ball":
        return w.clamp(-radius, radius)
    if kind == "l2_ball":
        return w * (radius / torch.linalg.vector_norm(w).clamp(min=radius))
    if kind == "simplex":
        return _onto_simplex(w, radius)
    inside = w.abs().sum() <= radius
    return w if inside else w.sign() * _onto_simplex(w.abs(), radius)


def _onto_simplex(w: Tensor, radius: float) -> Tensor:
    """max(w − τ, 0) with τ such that the sum is r: Duchi, Shalev-Shwartz, Singer and Chandra
    (2008), figure 1."""
    falling = w.flatten().sort(descending=True).values
    excess = falling.cumsum(0) - radius
    count = torch.arange(1, len(falling) + 1, device=w.device)
    last = (falling * count > excess).sum() - 1
    return (w - excess[last] / (last + 1)).clamp(min=0)
