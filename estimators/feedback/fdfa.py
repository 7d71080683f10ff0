"""Forward direct feedback alignment (FDFA) of Bacho and Chu (2022)."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import by_boundary
from estimators.autodiff.refusal import FORWARD, refusing
from estimators.autodiff.staged_pass import StagedPass
from estimators.core.bounds import Gt, Le
from estimators.core.contract import Cost, Estimate, Params, Signals
from estimators.core.noise import noise
from estimators.core.objective import Chain
from estimators.core.optimizers import adam
from estimators.feedback._direct import (
    DirectFeedback,
    Feedback,
    by_stage,
    direct_alignment,
    is_compared,
    jacobian_moments,
    mean_jacobian,
    rows,
    split,
    zero_feedback,
)

Moments = tuple[Tensor, ...]
State = tuple[Tensor, Feedback, Moments]
"""The number of steps taken, (), the feedback, and Adam's two moments (for the average, none)."""


class FeedbackLaw(NamedTuple):
    """The moments of the feedback, all boundaries side by side."""

    jacobian: Feedback
    """J̄, the mean of each draw."""
    mean: Feedback
    """E B."""
    variance: Tensor
    """tr Var B_l of each boundary, (L,)."""


@dataclass(frozen=True)
class FDFA(DirectFeedback[State]):
    """Direct feedback that learns the Jacobian of the output from one forward-mode pass a step.

    δ_l = e B_l, with e = ∂L/∂output and B_l ≈ ∂output/∂h_l. Noise p_l is added to the tangent at
    the end of every stage, for each example; the output then moves along d = Σ_l J_l p_l, and
    E[d p_lᵀ] = J_l. From zero, B_l ← (1 − α) B_l + α/N Σ_n d_n p_lnᵀ. The estimate uses the
    feedback from before the step.

    Use it where stages should learn in parallel and forward mode is available: its feedback aligns
    with the network, where that of `DirectFeedbackAlignment` is fixed. Few outputs are better than
    many.

    Biased, since B_l is an average over examples and past steps; exact for a linear network at
    constant weights after many steps. Costs two forward passes and one backward pass, and stores
    the activations of one stage.

    Source: Bacho and Chu (2022), arXiv:2212.07282.

    Example:
        >>> estimator = FDFA(rate=0.05)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Forward direct feedback alignment (FDFA)"

    learning: Literal["average", "adam"] = "average"
    """How B_l moves: the average above, or by Adam on the residual B_l − 1/N Σ_n d_n p_lnᵀ."""
    rate: Annotated[float, Gt(0), Le(1)] = 0.01
    """Share of each new draw in the average (α): a smaller one has less noise and more lag."""
    lr: Annotated[float, Gt(0), Le(1)] = 1e-4
    """Adam's learning rate."""
    noise: Literal["normal", "rademacher"] = "normal"
    """What p is drawn from: normals, as in the paper, or signs ±1."""

    def check(self, objective: Chain, params: Params, /) -> None:
        still = torch.zeros_like(zero_feedback(objective, params)[:1]).expand(len(objective.x), -1)
        with refusing(objective.module, FORWARD):
            StagedPass(objective, params, still)

    def cost(self, objective: Chain, /) -> Cost:
        return Cost(forwards=2, vjps=1, stored="one stage")

    def init(self, objective: Chain, params: Params, rng: Generator, /) -> State:
        feedback = zero_feedback(objective, params)
        count = 2 if self.learning == "adam" else 0
        return torch.tensor(0), feedback, tuple(torch.zeros_like(feedback) for _ in range(count))

    def estimate(
        self, objective: Chain, params: Params, state: State, rng: Generator, /
    ) -> Estimate:
        run, learnt = self._learn(objective, params, state, rng)
        info = self._info(objective, params, state, run)
        return Estimate(run.pull_back(_sent(run, state)), run.loss, learnt, info)

    def signals(self, objective: Chain, params: Params, state: State, rng: Generator, /) -> Signals:
        """e B_l at every boundary, with the feedback from before the step."""
        run, learnt = self._learn(objective, params, state, rng)
        info = self._info(objective, params, state, run)
        return Signals(by_boundary(objective, _sent(run, state)), learnt, info)

    def advance(self, objective: Chain, params: Params, state: State, rng: Generator, /) -> State:
        return self._learn(objective, params, state, rng)[1]

    def feedback_law(
        self, chain: Chain, params: Params, start: Feedback, steps: int
    ) -> FeedbackLaw:
        """The moments of the average t steps after `start`, for constant weights and batch.

        E B_l = J̄_l + (1 − α)ᵗ (B_l − J̄_l), with J̄ the mean Jacobian of N examples;
        tr Var B_l = α/(2 − α) (1 − (1 − α)²ᵗ) 1/N² Σ_n [U_l Σ_m ‖J_mn‖² + ‖J_ln‖²], with U_l
        units at the boundary, m over all boundaries, and a minus before ‖J_ln‖² for signs.

        Args:
            chain: The network on the batch.
            params: Its parameters by name.
            start: The feedback of all boundaries at first, (outputs, Σ_l units).
            steps: t.

        Raises:
            ValueError: Adam learns the feedback, for which no law is known.
        """
        if self.learning != "average":
            raise ValueError(
                f"there is no law for feedback that {self.learning} learns: use the average"
            )
        jacobian, squares = jacobian_moments(chain, params)
        left, sign = (1 - self.rate) ** steps, 1 if self.noise == "normal" else -1
        share = self.rate / (2 - self.rate) * (1 - left**2) / len(chain.x)
        units = squares.new_tensor([math.prod(place.shape) for place in chain.boundaries])
        spread = share * (units * squares.sum() + sign * squares)
        return FeedbackLaw(jacobian, torch.lerp(jacobian, start, left), spread)

    def _info(self, chain: Chain, params: Params, state: State, run: StagedPass) -> dict[str, Any]:
        return self._comparison(chain, params, state) if is_compared(state[0], run.output) else {}

    def _comparison(self, chain: Chain, params: Params, state: State) -> dict[str, Any]:
        """Angle between feedback and Jacobian, and its stationary value.

        An angle above the stationary value is tracking lag: the Jacobian moves faster than the
        average follows. "At rest" are weights and batch that do not change.
        """
        step, feedback, _ = state
        if self.learning != "average":
            return dict(direct_alignment(chain, feedback, mean_jacobian(chain, params)))
        law = self.feedback_law(chain, params, torch.zeros_like(feedback), int(step))
        means, meant = by_stage(chain, law.mean), by_stage(chain, law.jacobian)
        at_rest = {
            name: ((means[name] * j).sum() / (means[name].square().sum() + v).sqrt() / j.norm())
            .clamp(-1, 1).acos().rad2deg()
            for (name, j), v in zip(meant.items(), law.variance, strict=True)
        }  # fmt: skip
        measured = direct_alignment(chain, feedback, law.jacobian)
        return {**measured, "feedback_angle_at_rest": at_rest}

    def _learn(
        self, chain: Chain, params: Params, state: State, rng: Generator
    ) -> tuple[StagedPass, State]:
        step, feedback, moments = state
        p = noise(feedback.new_empty(len(chain.x), feedback.shape[1]), self.noise, rng)
        run = StagedPass(chain, params, p)
        d = run.tangent
        assert d is not None
        mean = rows(d).T / len(d)
        if self.learning == "average":
            learnt = torch.addmm(feedback, mean, p, beta=1 - self.rate, alpha=self.rate)
        else:
            residual = torch.addmm(feedback, mean, p, alpha=-1)
            learnt, moments = _adam_step(feedback, residual, moments, step, self.lr)
        return run, (step + 1, learnt, moments)


def _sent(run: StagedPass, state: State) -> list[Tensor]:
    """e B_l at each boundary, (B, *units)."""
    return split(rows(run.error) @ state[1], run.places)


def _adam_step(
    feedback: Feedback, residual: Tensor, moments: Moments, steps: Tensor, lr: float
) -> tuple[Feedback, Moments]:
    """One step of Adam, with the moments as the state keeps them, after that many steps."""
    values = {"feedback": feedback}
    state = {
        "mean": {"feedback": moments[0]},
        "square": {"feedback": moments[1]},
        "steps": {"feedback": steps.to(feedback)},
    }
    learnt, after = adam(values, {"feedback": residual}, state, lr)
    return learnt["feedback"], (after["mean"]["feedback"], after["square"]["feedback"])
