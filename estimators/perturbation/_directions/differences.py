"""Finite differences of the loss along directions in the space of the weights.

A direction v is a list of tensors, one for each parameter.
"""

from collections.abc import Callable

from torch import Tensor

from estimators.core.contract import Claim, Cost, Estimator, Law, Params
from estimators.core.laws import LEADING, forward_gradient_variance
from estimators.core.noise import Noise
from estimators.core.objective import Objective
from estimators.core.vectors import mean_over_draws, plus, scale_


class AntitheticPairs(Estimator[Objective, None]):
    """Base of the methods that compare the losses at θ + ε v and θ − ε v, for K pairs."""

    pairs: int

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def cost(self, objective: Objective, /) -> Cost:
        return Cost(forwards=2 * self.pairs + 1)  # one at θ itself, for the loss


def loss_at(objective: Objective, params: Params, v: list[Tensor], step: float) -> Tensor:
    """L(θ + step · v), ()."""
    moved = plus(list(params.values()), v, step)
    return objective(dict(zip(params, moved, strict=True)))


def central_difference(objective: Objective, params: Params, v: list[Tensor], eps: float) -> Tensor:
    """[L(θ + ε v) − L(θ − ε v)] / 2ε, ()."""
    forward, backward = (loss_at(objective, params, v, step) for step in (eps, -eps))
    return (forward - backward) / (2 * eps)


def mean_along(
    sample: Callable[[], list[Tensor]], slope: Callable[[list[Tensor]], Tensor], count: int
) -> list[Tensor]:
    """1/K Σ_k slope(v_k) v_k over K directions."""

    def draw() -> list[Tensor]:
        v = sample()
        scale_(v, slope(v))
        return v

    return mean_over_draws(draw, count)


def law_of_differences(exact: Params, noise: Noise, count: int) -> Law:
    """The forward gradient's law of K directions, which finite differences tend to for ε → 0."""
    return Law(forward_gradient_variance(exact, noise, count), note=LEADING)
