"""Clipping by the norm: Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063."""

from dataclasses import dataclass
from typing import Annotated, Any

from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.core.contract import Claim, Estimate, Estimator, Law, Params
from estimators.core.laws import certain, is_certain, mean_of
from estimators.core.objective import Objective
from estimators.core.wrapper import Wrapping, norm_of, times
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

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        grads, loss, state, info = self.inner.estimate(objective, params, state, rng)
        length = norm_of(grads)
        return Estimate(
            self._clipped(grads, length), loss, state, {**info, "norm_before_clipping": length}
        )

    def law(self, objective: Objective, params: Params, state: Any, exact: Params, /) -> Law | None:
        """Of an inner estimate without noise alone: else it hangs on how lengths scatter."""
        inner = self.inner.law(objective, params, state, exact)
        if inner is None or not is_certain(inner, exact):
            return None
        mean = mean_of(inner, exact)
        return certain(self._clipped(mean, norm_of(mean)), inner.note)

    def _clipped(self, grads: Params, length: Tensor) -> dict[str, Tensor]:
        # Divided by the larger of the two, a length of zero needs no case of its own.
        return times(grads, self.norm / length.clamp(min=self.norm))
