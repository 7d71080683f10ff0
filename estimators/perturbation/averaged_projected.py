"""The averaged projected forward gradient: Rostami and Kia (2024), arXiv:2403.12511.

Their Frank–Wolfe step is an optimiser's matter; this is the direction that it is given.
"""

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
    """ĝ_k = (1 − γ_k) ĝ_{k−1} + γ_k (∇L·v_k) v_k: an average over the steps, γ_k = γ / k^p.

    The variance falls with γ_k; the past gradients lag behind the weights: biased, unless the
    weights rest. γ = 1, p = 1: the plain mean of all steps. γ = 1, p = 0: the forward gradient.
    """

    title = "Averaged projected forward gradient"

    rate: Annotated[float, Gt(0), Le(1)] = 0.1
    """Weight γ of the newest forward gradient. The first step's weighs 1."""
    power: Annotated[float, Ge(0), Le(1)] = 0.0
    """How the weight falls with the step k, as k^−p."""
    tangents: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Directions that each step averages over (K); each costs a forward-mode pass."""
    noise: Noise = "rademacher"
    """What a direction v is drawn from: signs ±1, normals, or the sphere of radius √d."""

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

        def draw(count: int) -> list[Tensor]:
            return stacked_tangents(params, self.noise, rng, count)

        new, loss = mean_over(objective, params, draw, self.tangents)
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
        """γ_k of the step that comes next."""
        step = int(state["step"]) + 1  # type: ignore[arg-type]
        return self.rate / step**self.power if step > 1 else 1.0
