"""What every estimator that holds another one hands through to it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from estimators.core.contract import Claim, Cost, Coverage, Estimator, Need, Params
from estimators.core.objective import Objective


class Wrapping:
    """Mixed in before `Estimator`; the field `inner` is whose estimates are worked on.

    The state is the inner's own unless the wrapper says otherwise.
    """

    inner: Estimator

    def needs(self) -> tuple[Need, ...]:
        return self.inner.needs()

    def check(self, objective: Any, params: Params, /) -> None:
        self.inner.check(objective, params)

    def cost(self, objective: Any, /) -> Cost:
        return self.inner.cost(objective)

    def coverage(self, objective: Any, params: Params, /) -> dict[str, Coverage]:
        """What the inner finds exactly is so no longer where it is clipped, smoothed or late."""
        found = self.inner.coverage(objective, params)
        exact = self.claim(objective) is Claim.EXACT
        return {n: "estimated" if c == "exact" and not exact else c for n, c in found.items()}

    def claim(self, objective: Objective, /) -> Claim:
        return self.inner.claim(objective)

    def target(self, objective: Any, params: Params, state: Any, /) -> Params | None:
        return self.inner.target(objective, params, state)

    def init(self, objective: Any, params: Params, rng: Generator, /) -> Any:
        return self.inner.init(objective, params, rng)

    def advance(self, objective: Any, params: Params, state: Any, rng: Generator, /) -> Any:
        return self.inner.advance(objective, params, state, rng)


def unwrapped(estimator: Estimator) -> Estimator:
    """The estimator that does the work within any number of wrappers."""
    while isinstance(estimator, Wrapping):
        estimator = estimator.inner
    return estimator


def norm_of(grads: Mapping[str, Tensor]) -> Tensor:
    """‖ĝ‖ over all tensors together, ()."""
    return torch.stack([torch.linalg.vector_norm(g) for g in grads.values()]).norm()


def times(grads: Mapping[str, Tensor], factor: Tensor | float) -> dict[str, Tensor]:
    """factor · ĝ."""
    return {name: factor * g for name, g in grads.items()}
