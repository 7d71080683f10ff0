"""The averaged projected forward gradient of Rostami and Kia (2024)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Claim, Estimate, Law, Params
from estimators.core.laws import blend, forward_gradient_variance, scaled
from estimators.core.noise import Noise, stacked_tangents
from estimators.core.objective import Objective
from estimators.perturbation._directions.slopes import Directional, mean_over

State = dict[str, Tensor | dict[str, Tensor]]


@dataclass(frozen=True)
class AveragedProjected(Directional[State]):
    """Averages forward gradients over the steps, with weights that may fall.

    ĝ_k = (1 − γ_k) ĝ_{k−1} + γ_k (∇L·v_k) v_k at step k, with γ_k = γ / k^p. γ = 1, p = 1 is the
    plain mean of all steps; γ = 1, p = 0 is `ForwardGradient`.

    Use it with a small learning rate, where the gradient changes little from step to step: the
    variance falls with γ_k. With large steps the average lags behind the weights.

    Biased by the lag, except for γ = 1, p = 0. Costs K forward-mode passes a step and the memory
    of one gradient.

    Source: Rostami and Kia (2024), arXiv:2403.12511. Their Frank–Wolfe step belongs to the
    optimiser; this estimator is the direction that the step takes.

    Example:
        >>> estimator = AveragedProjected(rate=0.5, tangents=4)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Averaged projected forward gradient"

    rate: Annotated[float, Gt(0), Le(1)] = 0.1
    """Weight γ of the newest forward gradient; the first step's has weight 1."""
    power: Annotated[float, Ge(0), Le(1)] = 0.0
    """Exponent p with which the weight falls with the step k, as k^−p."""
    tangents: Annotated[int, Ge(1), Le(4096), Unit("tangents")] = 1
    """Directions that each step averages over (K); each costs a forward-mode pass."""
    noise: Noise = "rademacher"
    """Distribution of a direction v: signs ±1, normals, or the sphere of radius √d."""

    def claim(self, objective: Objective, /) -> Claim:
        forgets_all = self.rate == 1 and self.power == 0
        return Claim.UNBIASED if forgets_all else Claim.BIASED

    def init(self, objective: Objective, params: Params, rng: Generator, /) -> State:
        return {
            "step": torch.zeros(()),
            "mean": {n: torch.zeros_like(p) for n, p in params.items()},
        }

    def estimate(
        self, objective: Objective, params: Params, state: State, rng: Generator, /
    ) -> Estimate:
        step = int(state["step"]) + 1  # type: ignore[arg-type]

        def sample(count: int) -> list[Tensor]:
            return stacked_tangents(params, self.noise, rng, count)

        new, loss = mean_over(objective, params, sample, self.tangents)
        old: dict[str, Tensor] = state["mean"]  # type: ignore[assignment]
        mean = blend(old, dict(zip(params, new, strict=True)), self._weight(state))
        return Estimate(mean, loss, {"step": torch.tensor(float(step)), "mean": mean})

    def advance(
        self, objective: Objective, params: Params, state: State, rng: Generator, /
    ) -> State:
        return self.estimate(objective, params, state, rng).state

    def law(self, objective: Objective, params: Params, state: State, exact: Params, /) -> Law:
        weight = self._weight(state)
        variance = forward_gradient_variance(exact, self.noise, self.tangents)
        return Law(scaled(variance, weight**2), blend(state["mean"], exact, weight))  # type: ignore[arg-type]

    def _weight(self, state: State) -> float:
        """γ_k of the next step."""
        step = int(state["step"]) + 1  # type: ignore[arg-type]
        return self.rate / step**self.power if step > 1 else 1.0
