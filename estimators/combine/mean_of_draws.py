"""The mean of several independent draws of one estimator."""

from dataclasses import dataclass
from typing import Annotated, Any

from torch import Generator, Tensor

from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import Cost, Coverage, Estimate, Estimator, Law, Params
from estimators.core.laws import scaled
from estimators.core.objective import Objective
from estimators.core.wrapper import Wrapping
from estimators.perturbation.forward_gradient import ForwardGradient


@dataclass(frozen=True)
class MeanOfDraws(Wrapping, Estimator[Objective, Any]):
    """ĝ = 1/K Σ_k ĝ_k, with K draws of the inner estimator from one state.

    Its variance is 1/K of the inner's, its mean and so its bias are the same.
    """

    inner: Estimator = ForwardGradient()  # noqa: RUF009, it is frozen
    """The estimator that is averaged."""
    draws: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 4
    """Estimates that are averaged (K); each costs what the inner one costs."""

    def cost(self, objective: Objective, /) -> Cost:
        one, k = self.inner.cost(objective), self.draws
        return Cost(k * one.forwards, k * one.jvps, k * one.vjps, one.stored)

    def coverage(self, objective: Objective, params: Params, /) -> dict[str, Coverage]:
        return self.inner.coverage(objective, params)

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        first = self.inner.estimate(objective, params, state, rng)
        total: dict[str, Tensor] = dict(first.grads)
        for _ in range(self.draws - 1):
            # All from the state that was handed in: the next one is the first draw's.
            grads = self.inner.estimate(objective, params, state, rng).grads
            total = {name: g + grads[name] for name, g in total.items()}
        mean = {name: g / self.draws for name, g in total.items()}
        return Estimate(mean, first.loss, first.state, first.info)

    def law(self, objective: Objective, params: Params, state: Any, exact: Params, /) -> Law | None:
        inner = self.inner.law(objective, params, state, exact)
        return inner and inner._replace(variance=scaled(inner.variance, 1 / self.draws))
