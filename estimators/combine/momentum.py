"""Momentum on the estimate itself, whatever the optimiser does after it."""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Lt
from estimators.core.contract import Claim, Estimate, Estimator, Law, Params
from estimators.core.laws import blend, mean_of, scaled
from estimators.core.objective import Objective
from estimators.core.wrapper import KeepingPast, times
from estimators.perturbation.forward_gradient import ForwardGradient


@dataclass(frozen=True)
class Momentum(KeepingPast, Estimator[Objective, dict[str, Any]]):
    """Averages the estimates of past steps, with weights that fall exponentially.

    m ← βm + (1 − β)ĝ, and the estimate is m / (1 − βᵗ) at step t: the division makes it a mean
    over past estimates from the first step on.

    Use it to reduce the noise of an inner estimator at small learning rates. It is the gradient
    of about 1/(1 − β) steps ago, so that a fast-moving network gets an old direction.

    Biased by the lag for β > 0; at constant weights its mean is the inner estimator's. Costs what
    the inner estimator costs, and the memory of one gradient.

    Source: the first moment of Adam with its bias correction, Kingma and Ba (2015),
    arXiv:1412.6980, as an estimator.

    Example:
        >>> estimator = Momentum(inner=ForwardGradient(), beta=0.5)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    inner: Estimator = ForwardGradient()  # noqa: RUF009, it is frozen
    """The estimator that is averaged over the steps."""
    beta: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Weight of the past (β); 0 gives the inner estimator."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED if self.beta else self.inner.claim(objective)

    def init(self, objective: Objective, params: Params, rng: Generator, /) -> dict[str, Any]:
        return {
            "inner": self.inner.init(objective, params, rng),
            "mean": {name: torch.zeros_like(p) for name, p in params.items()},
            "weight": 0.0,
        }

    def estimate(
        self, objective: Objective, params: Params, state: dict[str, Any], rng: Generator, /
    ) -> Estimate:
        grads, loss, inner, info = self.inner.estimate(objective, params, state["inner"], rng)
        mean: dict[str, Tensor] = {
            name: torch.lerp(grads[name], past, self.beta) for name, past in state["mean"].items()
        }
        weight = self._weight(state)
        following = {"inner": inner, "mean": mean, "weight": weight}
        return Estimate(times(mean, 1 / weight), loss, following, info)

    def law(
        self, objective: Objective, params: Params, state: dict[str, Any], exact: Params, /
    ) -> Law | None:
        inner = self.inner.law(objective, params, state["inner"], exact)
        if inner is None:
            return None
        weight = self._weight(state)
        mean = blend(state["mean"], mean_of(inner, exact), 1 - self.beta)
        variance = scaled(inner.variance, ((1 - self.beta) / weight) ** 2)
        return inner._replace(variance=variance, mean=times(mean, 1 / weight))

    def _weight(self, state: dict[str, Any]) -> float:
        """1 − βᵗ of the next step."""
        return self.beta * state["weight"] + 1 - self.beta
