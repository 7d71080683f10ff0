"""Direct feedback alignment: Nøkland (2016), arXiv:1609.01596."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.core.calculus import cut_at_stages, output_error
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
class DirectFeedbackAlignment(DirectFeedback[State]):
    """δ_l = e B_l at the output of every stage but the last, e = ∂L/∂output, B_l random, fixed.

    Within its stage each signal is pulled back exactly; the last stage is exact.
    """

    scale: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Size of the feedback: the entries of B_l are uniform in ±scale·√(6/units)."""

    def cost(self, objective: Chain, /) -> Cost:
        return Cost(forwards=1, vjps=1, stored="one stage")

    def init(self, objective: Chain, params: Params, rng: Generator, /) -> State:
        return torch.tensor(0), uniform_feedback(objective, params, self.scale, rng)

    def estimate(
        self, objective: Chain, params: Params, state: State, rng: Generator, /
    ) -> Estimate:
        step, feedback = state
        cut = cut_at_stages(objective, params)
        grads = pull_back_direct(cut, feedback, output_error(cut))
        info = {}
        if look(step, cut.output):
            jacobian = mean_jacobian(objective, params)
            info = direct_alignment(objective, feedback, jacobian)
        return Estimate(grads, cut.losses.detach().mean(), (step + 1, feedback), info)
