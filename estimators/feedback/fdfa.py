"""Forward direct feedback alignment (FDFA): Bacho and Chu (2022), arXiv:2212.07282."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.core.contract import Cost, Estimate, Params
from estimators.core.direct import (
    DirectFeedback,
    Feedback,
    direct_alignment,
    look,
    split,
    zero_feedback,
)
from estimators.core.forward_mode import try_forward
from estimators.core.layerwise import StagedPass
from estimators.core.noise import noise
from estimators.core.objective import Chain

Moments = tuple[Tensor, ...]
State = tuple[Tensor, Feedback, Moments]
"""The number of steps taken, (), the feedback, and Adam's two moments (for the average, none)."""
BETAS, EPS = (0.9, 0.999), 1e-8  # Adam's, as in the released code


@dataclass(frozen=True)
class FDFA(DirectFeedback[State]):
    """δ_l = e B_l, where B_l learns the Jacobian ∂output/∂h_l from one forward-mode pass a step.

    Noise p_l is added to the tangent at the end of every stage, for each example; the output
    then moves along d = Σ_l J_l p_l, and E[d p_lᵀ] = J_l. From zero, B_l ← (1 − α) B_l + α/N Σ_n
    d_n p_lnᵀ. The estimate uses the feedback as it was before the step.
    """

    title = "Forward direct feedback alignment (FDFA)"

    learning: Literal["average", "adam"] = "average"
    """How B_l moves: the average above, or by Adam on the residual B_l − 1/N Σ_n d_n p_lnᵀ."""
    rate: Annotated[float, Gt(0), Le(1)] = 0.01
    """Share of each new draw in the average (α): noise falls with it, and lag grows."""
    lr: Annotated[float, Gt(0), Le(1)] = 1e-4
    """Adam's learning rate."""
    noise: Literal["normal", "rademacher"] = "normal"
    """What p is drawn from: normals, as in the paper, or signs ±1."""

    def check(self, objective: Chain, params: Params, /) -> None:
        still = torch.zeros_like(zero_feedback(objective, params)[:1]).expand(len(objective.x), -1)
        try_forward(lambda: StagedPass(objective, params, still))

    def cost(self, objective: Chain, /) -> Cost:
        return Cost(forwards=2, vjps=1, stored="one stage")

    def init(self, objective: Chain, params: Params, rng: Generator, /) -> State:
        feedback = zero_feedback(objective, params)
        count = 2 if self.learning == "adam" else 0
        return torch.tensor(0), feedback, tuple(torch.zeros_like(feedback) for _ in range(count))

    def estimate(
        self, objective: Chain, params: Params, state: State, rng: Generator, /
    ) -> Estimate:
        step, feedback, _ = state
        run, learnt = self._learn(objective, params, state, rng)
        signals = split(run.error.flatten(1) @ feedback, run.places)
        info = direct_alignment(objective, params, feedback) if look(step, run.output) else {}
        return Estimate(run.pull_back(signals), run.loss, learnt, info)

    def advance(self, objective: Chain, params: Params, state: State, rng: Generator, /) -> State:
        return self._learn(objective, params, state, rng)[1]

    def _learn(
        self, chain: Chain, params: Params, state: State, rng: Generator
    ) -> tuple[StagedPass, State]:
        step, feedback, moments = state
        p = noise(feedback.new_empty(len(chain.x), feedback.shape[1]), self.noise, rng)
        run = StagedPass(chain, params, p)
        d = run.tangent
        assert d is not None
        rows = d.flatten(1).T / len(d)
        if self.learning == "average":
            learnt = torch.addmm(feedback, rows, p, beta=1 - self.rate, alpha=self.rate)
        else:
            residual = torch.addmm(feedback, rows, p, alpha=-1)
            learnt, moments = _adam(feedback, residual, moments, int(step) + 1, self.lr)
        return run, (step + 1, learnt, moments)


def _adam(
    feedback: Feedback, residual: Tensor, moments: Moments, t: int, lr: float
) -> tuple[Feedback, Moments]:
    """Step t of Adam: Kingma and Ba (2015), arXiv:1412.6980, algorithm 1."""
    mean = torch.lerp(moments[0], residual, 1 - BETAS[0])
    square = (moments[1] * BETAS[1]).addcmul_(residual, residual, value=1 - BETAS[1])
    scale = (square / (1 - BETAS[1] ** t)).sqrt_().add_(EPS)
    return torch.addcdiv(feedback, mean, scale, value=-lr / (1 - BETAS[0] ** t)), (mean, square)
