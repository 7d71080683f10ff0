"""Clipping by the norm: Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063."""

from dataclasses import dataclass
from typing import Annotated, Any

from torch import Generator

from estimators.core.bounds import Gt, Le
from estimators.core.contract import Claim, Cost, Estimate, Estimator, Params
from estimators.core.objective import Objective
from estimators.core.wrapping import Wrapping, norm_of, times
from estimators.perturbation.forward_gradient import ForwardGradient


@dataclass(frozen=True)
class ClipNorm(Wrapping, Estimator[Objective, Any]):
    """ĝ · min(1, c/‖ĝ‖), with the norm over all tensors together.

    Long draws of a heavy-tailed estimator are shortened, which biases it towards zero.
    """

    title = "Clipping by the norm"

    inner: Estimator = ForwardGradient()  # noqa: RUF009, it is frozen
    """The estimator that is clipped."""
    norm: Annotated[float, Gt(0), Le(1e9)] = 1.0
    """Longest estimate that is let through unchanged (c)."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def cost(self, objective: Objective, /) -> Cost:
        return self.inner.cost(objective)

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        grads, loss, state, info = self.inner.estimate(objective, params, state, rng)
        length = norm_of(grads)
        # Divided by the larger of the two, a length of zero needs no case of its own.
        clipped = times(grads, self.norm / length.clamp(min=self.norm))
        return Estimate(clipped, loss, state, {**info, "norm_before_clipping": length})
