"""Whether small steps along an estimator's estimates lower the loss."""

from typing import Any

from torch import nn

from estimators import Chain, Estimator, require, stream
from estimators.core.contract import Params


def loss_falls(
    estimator: Estimator, chain: Chain, params: Params, *, steps: int, length: float
) -> bool:
    """Whether the loss is lower after `steps` steps, each of one length in every tensor."""
    require(estimator, chain, params)
    rng = stream(0, "estimator")
    state: Any = estimator.init(chain, params, rng)
    first = chain(params).item()
    for _ in range(steps):
        found = estimator.estimate(chain, params, state, rng)
        state = found.state
        unit = {n: nn.functional.normalize(g.flatten(), dim=0) for n, g in found.grads.items()}
        params = {n: p - length * unit[n].view_as(p) for n, p in params.items()}
    return chain(params).item() < first
