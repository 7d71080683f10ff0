"""The sign of an estimate: signSGD of Bernstein et al. (2018)."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Generator

from estimators.core.contract import Estimate, Estimator, Params
from estimators.core.objective import Objective
from estimators.core.wrapper import Transforming, norm_of, times
from estimators.feedback.backprop import Backprop


@dataclass(frozen=True)
class SignOf(Transforming, Estimator[Objective, Any]):
    """Keeps the sign of every entry of an estimate and drops its size.

    sign(ĝ), with ĝ the inner estimate; with `scale="norm"`, sign(ĝ) ‖ĝ‖/√d.

    Use it as a control: a method that trains no better than the sign of the gradient carries no
    information in the sizes of its entries. With `scale="unit"`, the learning rate is the size of
    every step.

    Biased; with `scale="norm"` it is exact in one dimension. Costs what the inner estimator costs.

    Source: signSGD, Bernstein, Wang, Azizzadenesheli and Anandkumar (2018), arXiv:1802.04434.

    Example:
        >>> estimator = SignOf(inner=Backprop(), scale="norm")
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Sign of the gradient"

    inner: Estimator = Backprop()  # noqa: RUF009, it is frozen
    """The estimator whose signs are taken."""
    scale: Literal["unit", "norm"] = "unit"
    """unit: entries ±1. norm: as long as the inner estimate, entries ±‖ĝ‖/√d."""

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        grads, loss, state, info = self.inner.estimate(objective, params, state, rng)
        return Estimate(self.transform(grads), loss, state, info)

    def transform(self, grads: Params, /) -> Params:
        signs = {name: g.sign() for name, g in grads.items()}
        if self.scale == "unit":
            return signs
        # Zeros have no sign: the length is shared among the entries that have one.
        return times(signs, norm_of(grads) / norm_of(signs).clamp(min=1))
