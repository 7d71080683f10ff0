"""`Transporting`: the base class of methods that send δ through a feedback weight per layer."""

from abc import abstractmethod

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import signals_at_stages
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
    UnsupportedError,
)
from estimators.core.laws import GIVEN, certain
from estimators.core.objective import Chain
from estimators.feedback._alignment import alignment
from estimators.feedback._transport import (
    Weights,
    coverage_of_transport,
    through,
    transported,
    value_and_transported,
)

COMPARE_EVERY = 16
"""Steps between two comparisons of feedback and weight, each of which reads both once more."""

State = tuple[Tensor, Weights]
"""The number of steps taken, (), and the memory of each layer, shaped as its weight."""


class Transporting(Estimator[Chain, State]):
    """δ_l−1 = B_l δ_l behind each layer but the first; the subclass defines B.

    Every weight gradient is the ordinary outer product, and operations between the layers are
    differentiated exactly, so that the last layer's gradient is exact.
    """

    @abstractmethod
    def begin(self, weight: Tensor, rng: Generator, /) -> Tensor:
        """The memory of a layer before the first step."""

    @abstractmethod
    def feedback(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        """B, shaped as the layer's weight, from its memory `kept`."""

    def learn(self, weight: Tensor, kept: Tensor, rng: Generator, /) -> Tensor:
        """The memory for the next step. Fixed feedback: unchanged."""
        return kept

    def claim(self, objective: Chain, /) -> Claim:
        return Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        return (Need.DIFFERENTIABLE,)

    def check(self, objective: Chain, params: Params, /) -> None:
        if not isinstance(objective, Chain):
            raise UnsupportedError(
                "signals are sent back through layers, and this objective is a loss without "
                "layers: it needs a network on a batch, a Chain"
            )
        transported(objective, params)

    def cost(self, objective: Chain, /) -> Cost:
        return Cost(forwards=1, vjps=1, stored="all")

    def coverage(self, objective: Chain, params: Params, /) -> dict[str, Coverage]:
        return coverage_of_transport(objective, params)

    def init(self, objective: Chain, params: Params, rng: Generator, /) -> State:
        weights = transported(objective, params)
        return torch.tensor(0), {name: self.begin(w, rng) for name, w in weights.items()}

    def estimate(
        self, objective: Chain, params: Params, state: State, rng: Generator, /
    ) -> Estimate:
        feedback, info = self._feedback_and_info(params, state, rng)
        loss, grads = value_and_transported(objective, params, feedback)
        return Estimate(grads, loss, self.advance(objective, params, state, rng), info)

    def signals(
        self, objective: Chain, params: Params, state: State, rng: Generator, /
    ) -> Signals | None:
        """What arrives at every boundary, sent through the B of all layers behind it.

        In a block with more layers than one, `estimate` goes on through their B, where a pull-back
        goes through their weights.
        """
        if len(objective.blocks) == 1:
            return None
        feedback, info = self._feedback_and_info(params, state, rng)
        with through(objective, feedback):
            values = signals_at_stages(objective, params)
        return Signals(values, self.advance(objective, params, state, rng), info)

    def _feedback_and_info(
        self, params: Params, state: State, rng: Generator
    ) -> tuple[Weights, dict[str, dict[str, Tensor]]]:
        """B of each layer, and at some steps how well it is aligned."""
        step, kept = state
        weights = {name: params[name].detach() for name in kept}
        feedback = {name: self.feedback(w, kept[name], rng) for name, w in weights.items()}
        return feedback, {} if int(step) % COMPARE_EVERY else alignment(feedback, weights)

    def advance(self, objective: Chain, params: Params, state: State, rng: Generator, /) -> State:
        step, kept = state
        learnt = {name: self.learn(params[name].detach(), k, rng) for name, k in kept.items()}
        return step + 1, learnt

    def law(self, objective: Chain, params: Params, state: State, exact: Params, /) -> Law:
        """No noise for a given feedback, unless it is drawn anew for each estimate."""
        weights = {name: params[name].detach() for name in state[1]}
        feedback = {name: self.mean_feedback(w, state[1][name]) for name, w in weights.items()}
        return certain(value_and_transported(objective, params, feedback)[1], GIVEN)

    def mean_feedback(self, weight: Tensor, kept: Tensor, /) -> Tensor:
        """E B: B itself, where it is not drawn."""
        return self.feedback(weight, kept, torch.Generator(weight.device))
