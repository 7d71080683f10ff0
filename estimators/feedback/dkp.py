"""Direct Kolen–Pollack (DKP): Webster, Choi and Ahn (2020), "Learning the connections in
direct feedback alignment".
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le
from estimators.core.calculus import Cut, cut_at_stages, output_error
from estimators.core.contract import Cost, Estimate, Params
from estimators.core.direct import (
    DirectFeedback,
    Feedback,
    direct_alignment,
    look,
    mean_jacobian,
    pull_back_direct,
    uniform_feedback,
)
from estimators.core.objective import Chain

State = tuple[Tensor, Feedback]
"""The number of steps taken, (), and the feedback."""


@dataclass(frozen=True)
class DKP(DirectFeedback[State]):
    """Direct feedback that learns: B_l ← B_l − η (Σ_n e_nᵀ h_ln + λ B_l), h_l the stage's output.

    That is how the output layer's weight moves, so that the last B_l comes to equal it where the
    optimiser has the same rate and decay; the other ones follow the same rule.
    """

    title = "Direct Kolen–Pollack (DKP)"

    rate: Annotated[float, Gt(0), Le(1000)] = 0.01
    """Learning rate of the feedback (η): as the optimiser's, if that is SGD."""
    decay: Annotated[float, Ge(0), Le(10)] = 1e-6
    """Pull of the feedback towards zero, scaled by the rate (λ)."""
    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the first feedback: the entries of B_l are uniform in ±scale·√(6/units)."""

    def cost(self, objective: Chain, /) -> Cost:
        return Cost(forwards=1, vjps=1, stored="one stage")

    def init(self, objective: Chain, params: Params, rng: Generator, /) -> State:
        return torch.tensor(0), uniform_feedback(objective, params, self.scale, rng)

    def estimate(
        self, objective: Chain, params: Params, state: State, rng: Generator, /
    ) -> Estimate:
        step, feedback = state
        cut = cut_at_stages(objective, params)
        e = output_error(cut)
        learnt = self._learn(cut, feedback, e)
        info = {}
        if look(step, cut.output):
            jacobian = mean_jacobian(objective, params)
            info = direct_alignment(objective, feedback, jacobian)
        grads = pull_back_direct(cut, feedback, e)
        return Estimate(grads, cut.losses.detach().mean(), (step + 1, learnt), info)

    def advance(self, objective: Chain, params: Params, state: State, rng: Generator, /) -> State:
        step, feedback = state
        with torch.enable_grad():  # a caller that wants no gradients may have switched it off
            cut = cut_at_stages(objective, params)
            return step + 1, self._learn(cut, feedback, output_error(cut))

    def _learn(self, cut: Cut, feedback: Feedback, e: Tensor) -> Feedback:
        activities = torch.cat([h.detach().flatten(1) for h in cut.places], 1)
        keep = 1 - self.rate * self.decay
        return torch.addmm(feedback, e.flatten(1).T, activities, beta=keep, alpha=-self.rate)
