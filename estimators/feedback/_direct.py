"""Direct feedback: the output's error e is sent straight to the end of every stage.

δ_l = e B_l at the l-th boundary, with B_l (outputs, units) in the place of the Jacobian
J_l = ∂output/∂h_l. Within its stage each signal is pulled back exactly; the last stage gets its
exact gradient.
"""

import math
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import (
    Cut,
    by_boundary,
    coverage_between,
    cut_at_stages,
    joined_at_stages,
    output_error,
    pull_back,
)
from estimators.core.contract import (
    Claim,
    Cost,
    Coverage,
    Estimate,
    Estimator,
    Law,
    Need,
    Params,
    Signals,
)
from estimators.core.laws import GIVEN, certain
from estimators.core.objective import Chain, Place
from estimators.feedback._alignment import Alignment, alignment

S = TypeVar("S")
Feedback = Tensor
"""The B_l of all boundaries side by side, (outputs, Σ_l units): one product serves them all."""


class DirectFeedback(Estimator[Chain, S]):
    """Base class of the methods of direct feedback."""

    def claim(self, objective: Chain, /) -> Claim:
        return Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        return (Need.DIFFERENTIABLE, Need.STAGES)

    def coverage(self, objective: Chain, params: Params, /) -> dict[str, Coverage]:
        return coverage_between(cut_at_stages(objective, params))

    def law(self, objective: Chain, params: Params, state: Any, exact: Params, /) -> Law:
        """No noise once the feedback is given, which is the second part of every state."""
        cut = cut_at_stages(objective, params)
        return certain(pull_back_direct(cut, state[1], output_error(cut)), GIVEN)


Learnt = tuple[Tensor, Feedback]
"""The number of steps taken, (), and the feedback."""


class DrawnFeedback(DirectFeedback[Learnt]):
    """Feedback that is drawn at random at first. A subclass may say how it learns."""

    scale: float

    def learn(self, cut: Cut, feedback: Feedback, e: Tensor, /) -> Feedback:
        """The feedback of the next step, e = ∂L/∂output. Fixed feedback: unchanged."""
        return feedback

    def cost(self, objective: Chain, /) -> Cost:
        return Cost(forwards=1, vjps=1, stored="one stage")

    def init(self, objective: Chain, params: Params, rng: Generator, /) -> Learnt:
        return torch.tensor(0), uniform_feedback(objective, params, self.scale, rng)

    def estimate(
        self, objective: Chain, params: Params, state: Learnt, rng: Generator, /
    ) -> Estimate:
        cut = cut_at_stages(objective, params)
        e = output_error(cut)
        # Before the cut is pulled back and its graph freed.
        after, info = self._after(objective, params, state, cut, e)
        grads = pull_back_direct(cut, state[1], e)
        return Estimate(grads, cut.losses.detach().mean(), after, info)

    def signals(
        self, objective: Chain, params: Params, state: Learnt, rng: Generator, /
    ) -> Signals:
        """e B_l at every boundary."""
        cut = cut_at_stages(objective, params)
        e = output_error(cut)
        after, info = self._after(objective, params, state, cut, e)
        sent = split(rows(e) @ state[1], cut.places)
        return Signals(by_boundary(objective, sent), after, info)

    def _after(
        self, chain: Chain, params: Params, state: Learnt, cut: Cut, e: Tensor
    ) -> tuple[Learnt, Alignment]:
        """The state of the next step, and how well the feedback is aligned."""
        step, feedback = state
        info = {}
        if is_compared(step, cut.output):
            info = direct_alignment(chain, feedback, mean_jacobian(chain, params))
        return (step + 1, self.learn(cut, feedback, e)), info

    def advance(self, objective: Chain, params: Params, state: Learnt, rng: Generator, /) -> Learnt:
        """The next step, with fixed feedback. A subclass that learns replaces this."""
        return state[0] + 1, state[1]


def zero_feedback(chain: Chain, params: Params) -> Feedback:
    """Feedback of zero for every boundary."""
    cut = cut_at_stages(chain, params)
    outputs, units = cut.output[0].numel(), sum(h[0].numel() for h in cut.places)
    return cut.output.detach().new_zeros(outputs, units)


def uniform_feedback(chain: Chain, params: Params, scale: float, rng: Generator) -> Feedback:
    """Feedback with the entries of B_l uniform in ±scale·√(6/units)."""

    def fill(place: Place) -> Tensor:
        units = math.prod(place.shape)
        bound = scale * math.sqrt(6 / units)
        return zeros.new_empty(len(zeros), units).uniform_(-bound, bound, generator=rng)

    zeros = zero_feedback(chain, params)
    return torch.cat([fill(place) for place in chain.boundaries], 1)


def pull_back_direct(cut: Cut, feedback: Feedback, e: Tensor) -> dict[str, Tensor]:
    """The gradients, with e B_l at every boundary, e = ∂L/∂output (B, ...)."""
    return pull_back(cut, split(rows(e) @ feedback, cut.places), e)


def rows(t: Tensor) -> Tensor:
    """(B, ...) as (B, n): one row for each example, of one number for a shape of (B,)."""
    return t.reshape(len(t), -1)


def split(signal: Tensor, places: list[Tensor]) -> list[Tensor]:
    """(B, Σ_l units) as one tensor for each boundary, shaped as its activation."""
    pieces = signal.split([h[0].numel() for h in places], 1)
    return [piece.reshape(h.shape) for piece, h in zip(pieces, places, strict=True)]


def mean_jacobian(chain: Chain, params: Params) -> Feedback:
    """J̄ = 1/B Σ_n ∂output_n/∂h_ln of all boundaries side by side, as the feedback has them."""
    return jacobian_moments(chain, params)[0]


def jacobian_moments(chain: Chain, params: Params) -> tuple[Feedback, Tensor]:
    """(J̄, 1/B Σ_n ‖J_ln‖² of each boundary (L,)), J_ln = ∂output_n/∂h_ln.

    It takes one backward pass for each output.
    """
    output, places = joined_at_stages(chain, params)
    with torch.enable_grad():
        sums = rows(output).sum(0)
    means, squares = [], []
    for o in sums:
        jacobians = torch.autograd.grad(o, places, retain_graph=True)
        means.append(torch.cat([g.mean(0).flatten() for g in jacobians]))
        squares.append(torch.stack([g.square().sum() / len(g) for g in jacobians]))
    return torch.stack(means), torch.stack(squares).sum(0)


def is_compared(step: Tensor, output: Tensor) -> bool:
    """Whether the feedback is compared with the mean Jacobian at this step.

    The comparison takes a backward pass for each output. It is made every 16 steps for each
    output, so that it takes about 2 % of the time, and not at the first step, where many draws
    may start from one state.
    """
    period = 16 * output[0].numel()
    return int(step) % period == period - 1


def direct_alignment(chain: Chain, feedback: Feedback, jacobian: Feedback) -> Alignment:
    """Angle and norm ratio between the feedback and the batch's mean Jacobian, by stage."""
    return alignment(by_stage(chain, feedback), by_stage(chain, jacobian))


def by_stage(chain: Chain, feedback: Feedback) -> dict[str, Tensor]:
    """{stage in front of the boundary: its B_l, (outputs, units)}."""
    pieces = feedback.split([math.prod(place.shape) for place in chain.boundaries], 1)
    return {place.name: piece for place, piece in zip(chain.boundaries, pieces, strict=True)}
