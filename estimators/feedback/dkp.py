"""Direct Kolen–Pollack feedback (DKP) of Webster, Choi and Ahn (2020)."""

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
    """Direct feedback that learns by the update rule of the output layer.

    B_l ← B_l − η (Σ_n e_nᵀ h_ln + λ B_l), with e the error at the output and h_l the output of the
    stage. The last B_l tends to the output layer's weight if the optimiser has the same rate and
    decay; the other ones follow the same rule.

    Use it where `DirectFeedbackAlignment` does not learn: aligned feedback costs little more.

    Biased; the last B_l becomes exact before a linear output layer. Costs one forward and one
    backward pass and stores the activations of one stage.

    Source: Webster, Choi and Ahn (2020), "Learning the connections in direct feedback alignment".

    Example:
        >>> estimator = DKP(rate=0.05)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Direct Kolen–Pollack (DKP)"

    rate: Annotated[float, Gt(0), Le(1000)] = 0.01
    """Learning rate of the feedback (η): that of the optimiser, if it is SGD."""
    decay: Annotated[float, Ge(0), Le(10)] = 1e-6
    """Weight decay of the feedback (λ), multiplied by the rate."""
    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the initial feedback: the entries of B_l are uniform in ±scale·√(6/units)."""

    def learn(self, cut: Cut, feedback: Feedback, e: Tensor, /) -> Feedback:
        activities = torch.cat([rows(h.detach()) for h in cut.places], 1)
        keep = 1 - self.rate * self.decay
        return torch.addmm(feedback, rows(e).T, activities, beta=keep, alpha=-self.rate)

    def advance(self, objective: Chain, params: Params, state: Learnt, rng: Generator, /) -> Learnt:
        step, feedback = state
        with torch.enable_grad():  # the caller may have disabled it
            cut = cut_at_stages(objective, params)
            return step + 1, self.learn(cut, feedback, output_error(cut))
