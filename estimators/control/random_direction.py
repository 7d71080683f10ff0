"""A random step as long as the gradient."""

from dataclasses import dataclass

import torch
from torch import Generator

from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import Claim, Cost, Estimate, Estimator, Law, Need, Params
from estimators.core.laws import dimension, squares
from estimators.core.objective import Objective
from estimators.core.wrapper import norm_of, times


@dataclass(frozen=True)
class RandomDirection(Estimator[Objective, None]):
    """A random direction of the gradient's length.

    ĝ = ‖∇L‖ v/‖v‖ with v normal in the space of all weights.

    Use it as a control: a method that trains no better carries no information about the gradient.

    Biased, with mean zero. Costs one forward and one backward pass, for the length.

    Source: no paper.

    No limit: its mean is zero whatever the gradient is, which makes it a control.

    Example:
        >>> estimator = RandomDirection()
        >>> measured = measure(net, loss, batch, [estimator])
    """

    control_arm = True

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        return (Need.DIFFERENTIABLE,)

    def cost(self, objective: Objective, /) -> Cost:
        return Cost(forwards=1, vjps=1, stored="all")

    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        loss, exact = value_and_grad(objective, params)
        v = {name: torch.empty_like(g).normal_(generator=rng) for name, g in exact.items()}
        return Estimate(times(v, norm_of(exact) / norm_of(v)), loss)

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        total, d = sum(squares(exact).values()), dimension(exact)
        return Law({name: total * g.numel() / d for name, g in exact.items()}, times(exact, 0.0))
