"""Where an objective is examined: weights near its own, few examples, double precision.

At special weights (a head or a gate of zero, an activation that is exactly 0) wrong derivatives and
coupled examples can look right. Near them they do not.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from estimators.core.contract import Params
from estimators.core.objective import Chain

FEW = 16
"""Examples that are enough to examine an objective."""
MAX_DOUBLE = 2**24
"""Parameters of the largest network that is copied to double precision: 128 MiB a copy."""
PIECE = 2**20
"""Entries of a tensor that are copied to double precision at once."""
MOVED = 0.25
"""How far weights are moved, as a share of their usual size."""


def near(params: Params, seed: int) -> dict[str, Tensor]:
    """Every tensor moved at random, always the same for a seed."""
    moved = {}
    for name, v in direction(params, seed).items():
        moved[name] = torch.add(params[name].detach(), v, alpha=MOVED)
    return moved


def direction(params: Params, seed: int) -> dict[str, Tensor]:
    """A random direction: normal numbers times the usual size of each tensor's entries."""
    rngs = {p.device: torch.Generator(p.device).manual_seed(seed) for p in params.values()}
    drawn = {}
    for name, p in params.items():
        v = torch.empty_like(p, requires_grad=False).normal_(generator=rngs[p.device])
        drawn[name] = v.mul_(usual_size(p))
    return drawn


def usual_size(p: Tensor) -> float:
    """The root mean square of the entries; of a tensor of zeros, a tenth of 1/√(fan-in)."""
    if not p.numel():
        return 0.0
    root_mean_square = (dot(p, p) / p.numel()) ** 0.5
    fan_in = p[0].numel() if p.ndim > 1 else 1
    return max(root_mean_square, 0.1 * fan_in**-0.5)


def dot(a: Tensor, b: Tensor) -> float:
    """⟨a, b⟩ in double precision, in pieces, so that no copy of a large tensor is made."""
    pieces = zip(*(t.detach().reshape(-1).split(PIECE) for t in (a, b)), strict=True)
    return sum((x.double() @ y.double()).item() for x, y in pieces)


def examinable(chain: Chain, params: Params) -> tuple[Chain, Params]:
    """The objective on few examples in double precision, or as near to that as it runs.

    A network or loss can hold numbers of another precision, and a loss can know its batch. Then the
    given precision and batch remain.
    """
    for candidate, theta in _candidates(chain, params):
        try:
            with torch.no_grad():
                if candidate(theta).isfinite():
                    return candidate, theta
        except Exception:  # what a foreign module raises at another precision is not known
            continue
    return chain, params


def _candidates(chain: Chain, params: Params) -> Iterator[tuple[Chain, Params]]:
    few = _few(chain)
    batches = (chain,) if few is chain else (few, chain)
    small = sum(p.numel() for p in chain.module.parameters()) <= MAX_DOUBLE
    if small and any(p.dtype is not torch.float64 for p in params.values()):
        for batch in batches:
            yield batch.in_double_precision(params)
    for batch in batches:
        yield batch, params


def _few(chain: Chain) -> Chain:
    """The same on the first examples, with all views of each."""
    x, y, views = chain.x, chain.y, chain.views
    examples = len(x) // views
    if examples <= FEW or y.ndim == 0 or len(y) != len(x):
        return chain
    rows = torch.cat([torch.arange(FEW) + view * examples for view in range(views)])
    rows = rows.to(x.device)
    return chain.on(x[rows], y[rows.to(y.device)])
