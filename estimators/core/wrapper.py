"""Bases of the estimators that hold another estimator, and arithmetic on named gradients."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from estimators.core.contract import Claim, Cost, Coverage, Estimator, Law, Need, Params
from estimators.core.laws import certain, is_certain, mean_of
from estimators.core.objective import Objective


class Wrapping:
    """Passes every method but `estimate` on to the estimator in the field `inner`.

    Listed before `Estimator` among the bases. The state is the inner estimator's own unless the
    wrapper says otherwise.
    """

    inner: Estimator

    def needs(self) -> tuple[Need, ...]:
        return self.inner.needs()

    def check(self, objective: Any, params: Params, /) -> None:
        self.inner.check(objective, params)

    def cost(self, objective: Any, /) -> Cost:
        return self.inner.cost(objective)

    def coverage(self, objective: Any, params: Params, /) -> dict[str, Coverage]:
        """An exact gradient is no longer exact after it is clipped, smoothed or delayed."""
        inner = self.inner.coverage(objective, params)
        exact = self.claim(objective) is Claim.EXACT
        return {n: "estimated" if c == "exact" and not exact else c for n, c in inner.items()}

    def claim(self, objective: Objective, /) -> Claim:
        return self.inner.claim(objective)

    def target(self, objective: Any, params: Params, state: Any, /) -> Params | None:
        return self.inner.target(objective, params, state)

    def init(self, objective: Any, params: Params, rng: Generator, /) -> Any:
        return self.inner.init(objective, params, rng)

    def advance(self, objective: Any, params: Params, state: Any, rng: Generator, /) -> Any:
        return self.inner.advance(objective, params, state, rng)


class Transforming(Wrapping):
    """A wrapper whose estimate is a fixed, biased function of the inner estimate."""

    @abstractmethod
    def transform(self, grads: Params, /) -> Params:
        """The function of the inner gradient."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def law(self, objective: Any, params: Params, state: Any, exact: Params, /) -> Law | None:
        """Known only if the inner estimate has no noise; else it depends on its distribution."""
        inner = self.inner.law(objective, params, state, exact)
        if inner is None or not is_certain(inner, exact):
            return None
        return certain(self.transform(mean_of(inner, exact)), inner.note)


class KeepingPast(Wrapping):
    """A wrapper whose state holds past estimates beside the inner estimator's state, "inner"."""

    def target(self, objective: Any, params: Params, state: dict[str, Any], /) -> Params | None:
        return self.inner.target(objective, params, state["inner"])

    def advance(
        self, objective: Any, params: Params, state: dict[str, Any], rng: Generator, /
    ) -> dict[str, Any]:
        """The next state needs the estimate itself, so that advancing costs as much."""
        assert isinstance(self, Estimator)
        return self.estimate(objective, params, state, rng).state


def unwrapped(estimator: Estimator) -> Estimator:
    """The innermost estimator within any number of wrappers."""
    while isinstance(estimator, Wrapping):
        estimator = estimator.inner
    return estimator


def norm_of(grads: Mapping[str, Tensor]) -> Tensor:
    """‖ĝ‖ over all tensors together, ()."""
    return torch.stack([torch.linalg.vector_norm(g) for g in grads.values()]).norm()


def times(grads: Mapping[str, Tensor], factor: Tensor | float) -> dict[str, Tensor]:
    """factor · ĝ."""
    return {name: factor * g for name, g in grads.items()}
