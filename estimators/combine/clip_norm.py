"""Clipping by the norm, of Pascanu, Mikolov and Bengio (2013)."""

from dataclasses import dataclass
from typing import Annotated, Any

from torch import Generator, Tensor

from estimators.core.bounds import Gt, Le
from estimators.core.contract import Estimate, Estimator, Params
from estimators.core.objective import Objective
from estimators.core.wrapper import Transforming, norm_of, times
from estimators.perturbation.forward_gradient import ForwardGradient


@dataclass(frozen=True)
class ClipNorm(Transforming, Estimator[Objective, Any]):
    """Shortens an estimate whose norm is above a limit.

    ĝ · min(1, c/‖ĝ‖), with ĝ the inner estimate and the norm over all tensors together. The norm
    before clipping is reported as a series.

    Use it with heavy-tailed estimators, whose rare long draws throw the weights far off. If most
    draws are clipped, the length of the estimate has no meaning any more.

    Biased towards zero; the inner estimate where no draw is clipped. Costs what the inner
    estimator costs.

    Source: Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063.

    Example:
        >>> estimator = ClipNorm(inner=ForwardGradient(), norm=0.5)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Clipping by the norm"

    inner: Estimator = ForwardGradient()  # noqa: RUF009, it is frozen
    """The estimator that is clipped."""
    norm: Annotated[float, Gt(0), Le(1e9)] = 1.0
    """Largest norm of an estimate that is not changed (c)."""

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        grads, loss, state, info = self.inner.estimate(objective, params, state, rng)
        length = norm_of(grads)
        info = {**info, "norm_before_clipping": length}
        return Estimate(self._clipped(grads, length), loss, state, info)

    def transform(self, grads: Params, /) -> Params:
        return self._clipped(grads, norm_of(grads))

    def _clipped(self, grads: Params, length: Tensor) -> Params:
        # Divided by the larger of the two, a norm of zero needs no case of its own.
        return times(grads, self.norm / length.clamp(min=self.norm))
