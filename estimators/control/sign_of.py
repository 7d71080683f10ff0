"""The sign of an estimate: signSGD, Bernstein, Wang, Azizzadenesheli and Anandkumar (2018),
arXiv:1802.04434.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Generator

from estimators.core.contract import Claim, Estimate, Estimator, Law, Params
from estimators.core.laws import certain, is_certain, mean_of
from estimators.core.objective import Objective
from estimators.core.wrapper import Wrapping, norm_of, times
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

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        grads, loss, state, info = self.inner.estimate(objective, params, state, rng)
        return Estimate(self._signs(grads), loss, state, info)

    def law(self, objective: Objective, params: Params, state: Any, exact: Params, /) -> Law | None:
        """Of an inner estimate without noise alone: else it hangs on how each entry scatters."""
        inner = self.inner.law(objective, params, state, exact)
        if inner is None or not is_certain(inner, exact):
            return None
        return certain(self._signs(mean_of(inner, exact)), inner.note)

    def _signs(self, grads: Params) -> Params:
        signs = {name: g.sign() for name, g in grads.items()}
        if self.scale == "unit":
            return signs
        # Zeros have no sign: the length is shared among the entries that have one.
        return times(signs, norm_of(grads) / norm_of(signs).clamp(min=1))
