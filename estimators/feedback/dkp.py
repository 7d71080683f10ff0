"""Direct Kolen–Pollack (DKP): Webster, Choi and Ahn (2020), "Learning the connections in
direct feedback alignment".
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import Cut, cut_at_stages, output_error
from estimators.core.bounds import Ge, Gt, Le
from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.feedback._direct import DrawnFeedback, Feedback, Learnt, rows


@dataclass(frozen=True)
class DKP(DrawnFeedback):
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

    def learn(self, cut: Cut, feedback: Feedback, e: Tensor, /) -> Feedback:
        activities = torch.cat([rows(h.detach()) for h in cut.places], 1)
        keep = 1 - self.rate * self.decay
        return torch.addmm(feedback, rows(e).T, activities, beta=keep, alpha=-self.rate)

    def advance(self, objective: Chain, params: Params, state: Learnt, rng: Generator, /) -> Learnt:
        step, feedback = state
        with torch.enable_grad():  # a caller that wants no gradients may have switched it off
            cut = cut_at_stages(objective, params)
            return step + 1, self.learn(cut, feedback, output_error(cut))
