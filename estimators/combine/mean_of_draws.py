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
    """Averages several independent draws of one estimator.

    ĝ = 1/K Σ_k ĝ_k, with K draws of the inner estimator from one state.

    Use it to trade computation for variance with any estimator. It does not help against bias.
    Where the inner estimator has a field of its own for it (`tangents`, `pairs`), that is cheaper.

    The mean and the claim are the inner estimator's, the variance is 1/K of its variance. Costs K
    times as much.

    Source: the sample mean; no paper.

    Example:
        >>> estimator = MeanOfDraws(inner=SPSA(), draws=8)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    inner: Estimator = ForwardGradient()  # noqa: RUF009, it is frozen
    """The estimator that is averaged."""
    draws: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 4
    """Estimates that are averaged (K); each costs what the inner estimator costs."""

    def cost(self, objective: Objective, /) -> Cost:
        inner, k = self.inner.cost(objective), self.draws
        return Cost(k * inner.forwards, k * inner.jvps, k * inner.vjps, inner.stored)

    def coverage(self, objective: Objective, params: Params, /) -> dict[str, Coverage]:
        return self.inner.coverage(objective, params)

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        first = self.inner.estimate(objective, params, state, rng)
        total: dict[str, Tensor] = dict(first.grads)
        for _ in range(self.draws - 1):
            # All draws start from the given state; the next state is the first draw's.
            grads = self.inner.estimate(objective, params, state, rng).grads
            total = {name: g + grads[name] for name, g in total.items()}
        mean = {name: g / self.draws for name, g in total.items()}
        return Estimate(mean, first.loss, first.state, first.info)

    def law(self, objective: Objective, params: Params, state: Any, exact: Params, /) -> Law | None:
        inner = self.inner.law(objective, params, state, exact)
        return inner and inner._replace(variance=scaled(inner.variance, 1 / self.draws))
