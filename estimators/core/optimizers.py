"""Optimisers as pure functions: (tensors, gradients, state) -> (tensors, state).

For the tensors that an estimator trains itself (auxiliary heads) and keeps in its state.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

Named = Mapping[str, Tensor]
Moments = dict[str, dict[str, Tensor]]


def adam_state(values: Named) -> Moments:
    """Adam's moments and step count before the first step, all zero."""
    return {
        "mean": {n: torch.zeros_like(v) for n, v in values.items()},
        "square": {n: torch.zeros_like(v) for n, v in values.items()},
        "steps": {n: v.new_zeros(()) for n, v in values.items()},
    }


@torch.no_grad()
def adam(
    values: Named,
    grads: Named,
    state: Moments,
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[dict[str, Tensor], Moments]:
    """One step of Adam: Kingma and Ba (2015), arXiv:1412.6980, algorithm 1."""
    after: dict[str, Tensor] = {}
    moments: Moments = {"mean": {}, "square": {}, "steps": {}}
    for name, value in values.items():
        g, t = grads[name], state["steps"][name] + 1
        m = torch.lerp(g, state["mean"][name], betas[0])
        s = torch.lerp(g * g, state["square"][name], betas[1])
        scale = (s / (1 - betas[1] ** t)).sqrt_().add_(eps)
        after[name] = value - rate / (1 - betas[0] ** t) * m / scale
        moments["mean"][name], moments["square"][name], moments["steps"][name] = m, s, t
    return after, moments
