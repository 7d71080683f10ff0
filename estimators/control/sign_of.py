"""The sign of an estimate: signSGD, Bernstein, Wang, Azizzadenesheli and Anandkumar (2018),
arXiv:1802.04434.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Generator

from estimators.core.contract import Claim, Cost, Estimate, Estimator, Params
from estimators.core.objective import Objective
from estimators.core.wrapping import Wrapping, norm_of, times
from estimators.feedback.backprop import Backprop


@dataclass(frozen=True)
class SignOf(Wrapping, Estimator[Objective, Any]):
    """sign(ĝ), each entry for itself: one bit of the gradient. Exact in one dimension, as long
    as the gradient.
    """

    title = "Sign of the gradient"

    inner: Estimator = Backprop()  # noqa: RUF009, it is frozen
    """Whose signs are taken."""
    scale: Literal["unit", "norm"] = "unit"
    """unit: entries ±1. norm: as long as the inner estimate, entries ±‖ĝ‖/√d."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def cost(self, objective: Objective, /) -> Cost:
        return self.inner.cost(objective)

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        grads, loss, state, info = self.inner.estimate(objective, params, state, rng)
        signs = {name: g.sign() for name, g in grads.items()}
        if self.scale == "norm":
            # Zeros have no sign: the length is shared among the entries that have one.
            signs = times(signs, norm_of(grads) / norm_of(signs).clamp(min=1))
        return Estimate(signs, loss, state, info)
