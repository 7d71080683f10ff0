"""Backpropagation, of Rumelhart, Hinton and Williams (1986)."""

from dataclasses import dataclass

from torch import Generator

from estimators.autodiff.calculus import signals_at_stages, value_and_grad
from estimators.core.contract import (
    Claim,
    Cost,
    Estimate,
    Estimator,
    Law,
    Need,
    Params,
    Signals,
)
from estimators.core.objective import Chain, Objective


@dataclass(frozen=True)
class Backprop(Estimator[Objective, None]):
    """The exact gradient, by reverse-mode differentiation.

    ĝ = ∇L(θ).

    Use it as the reference for every other estimator.

    Exact. Costs one forward and one backward pass and stores all activations.

    Source: Rumelhart, Hinton and Williams (1986), Nature 323, 533–536.

    Example:
        >>> estimator = Backprop()
        >>> measured = measure(net, loss, batch, [estimator])
    """

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.EXACT

    def needs(self) -> tuple[Need, ...]:
        return (Need.DIFFERENTIABLE,)

    def cost(self, objective: Objective, /) -> Cost:
        return Cost(forwards=1, vjps=1, stored="all")

    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        loss, grads = value_and_grad(objective, params)
        return Estimate(grads, loss)

    def signals(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Signals | None:
        """∂L/∂h at every boundary; None where there is none."""
        if not isinstance(objective, Chain) or len(objective.blocks) == 1:
            return None
        return Signals(signals_at_stages(objective, params))

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        return Law(dict.fromkeys(exact, 0.0))
