"""Momentum on the estimate itself, whatever the optimiser behind it does."""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Lt
from estimators.core.contract import Claim, Estimate, Estimator, Law, Params
from estimators.core.laws import blend, mean_of, scaled
from estimators.core.objective import Objective
from estimators.core.wrapper import Wrapping, times
from estimators.perturbation.forward_gradient import ForwardGradient


@dataclass(frozen=True)
class Momentum(Wrapping, Estimator[Objective, dict[str, Any]]):
    """m ← βm + (1 − β)ĝ,  estimate m / (1 − βᵗ) at the t-th step: a mean over past estimates.

    Less noise for a lag: it is the gradient of some 1/(1 − β) steps ago. At weights that stand
    still its mean is the inner's from the first step on, because of the division.
    """

    inner: Estimator = ForwardGradient()  # noqa: RUF009, it is frozen
    """The estimator that is smoothed."""
    beta: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Weight of the past (β); 0 is the inner estimator."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED if self.beta else self.inner.claim(objective)

    def init(self, objective: Objective, params: Params, rng: Generator, /) -> dict[str, Any]:
        return {
            "inner": self.inner.init(objective, params, rng),
            "mean": {name: torch.zeros_like(p) for name, p in params.items()},
            "weight": 0.0,
        }

    def target(
        self, objective: Objective, params: Params, state: dict[str, Any], /
    ) -> Params | None:
        return self.inner.target(objective, params, state["inner"])

    def estimate(
        self, objective: Objective, params: Params, state: dict[str, Any], rng: Generator, /
    ) -> Estimate:
        grads, loss, inner, info = self.inner.estimate(objective, params, state["inner"], rng)
        mean: dict[str, Tensor] = {
            name: torch.lerp(grads[name], past, self.beta) for name, past in state["mean"].items()
        }
        weight = self.beta * state["weight"] + 1 - self.beta  # 1 − βᵗ
        following = {"inner": inner, "mean": mean, "weight": weight}
        return Estimate(times(mean, 1 / weight), loss, following, info)

    def advance(
        self, objective: Objective, params: Params, state: dict[str, Any], rng: Generator, /
    ) -> dict[str, Any]:
        return self.estimate(objective, params, state, rng).state

    def law(
        self, objective: Objective, params: Params, state: dict[str, Any], exact: Params, /
    ) -> Law | None:
        inner = self.inner.law(objective, params, state["inner"], exact)
        if inner is None:
            return None
        weight = self.beta * state["weight"] + 1 - self.beta
        mean = blend(state["mean"], mean_of(inner, exact), 1 - self.beta)
        variance = scaled(inner.variance, ((1 - self.beta) / weight) ** 2)
        return inner._replace(variance=variance, mean=times(mean, 1 / weight))
